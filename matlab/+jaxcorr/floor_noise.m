function noise_mm = floor_noise(num_samples, rms_mm, cutoff_hz, rate_hz)
%FLOOR_NOISE   Band-limited noise.
%   NOISE_MM = FLOOR_NOISE(NUM_SAMPLES, RMS_MM, CUTOFF_HZ, RATE_HZ) draws NUM_SAMPLES-by-2 (x, y)
%   values of the given RMS from the global random stream: white noise through the filter of
%   LOW_PASS, which started long before.
%
%   See also LOW_PASS, SIMULATE_LAYER.

settle = ceil(8 * rate_hz / cutoff_hz);  % until nothing is left of the start
noise_mm = rms_mm * jaxcorr.low_pass(randn(settle + num_samples, 2), cutoff_hz, rate_hz);
noise_mm = noise_mm(settle + 1:end, :);
end
