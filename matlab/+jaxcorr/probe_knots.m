function knots_mm = probe_knots(seed, num_knots, rms_mm, rate_hz)
%PROBE_KNOTS   Knots of a small random perturbation of a command.
%   KNOTS_MM = PROBE_KNOTS(SEED, NUM_KNOTS, RMS_MM, RATE_HZ) returns NUM_KNOTS-by-2 (x, y) values,
%   RATE_HZ of them a second: uniform numbers through a second-order Butterworth low-pass of 15 Hz,
%   from rest, scaled to an RMS of RMS_MM; the first knot is 0. SEED is of PROBE_SEED. The numbers
%   come from the generator of Park and Miller, s = 48271 s mod (2^31 - 1), x and y in turns, so
%   that the built-in simulator of the Python package draws the same.
%
%   See also PROBE_SEED, CORRECTION_CURVE, SIMULATE_LAYER.

modulus = 2^31 - 1;
drawn = zeros(2, num_knots - 1);
s = max(seed, 1);  % zero would stay zero
for k = 1:numel(drawn)
    s = mod(48271 * s, modulus);
    drawn(k) = s;
end
white = sqrt(12) * (drawn' / modulus - 0.5);
knots_mm = [0 0; rms_mm * jaxcorr.low_pass(white, min(15, 0.4 * rate_hz), rate_hz)];
end
