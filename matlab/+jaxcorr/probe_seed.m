function seed = probe_seed(words)
%PROBE_SEED   One number below 2^31 - 1 from all the numbers that name a trace.
%   SEED = PROBE_SEED(WORDS) starts at 1 and takes 48271 (seed + word) mod (2^31 - 1) over a vector
%   of integers.
%
%   See also PROBE_KNOTS, SIMULATE_LAYER.

seed = 1;
for word = words
    seed = mod(48271 * (seed + word), 2^31 - 1);
end
end
