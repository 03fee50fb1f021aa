function filtered = low_pass(white, cutoff_hz, rate_hz)
%LOW_PASS   White noise of variance 1 through a low-pass, to a variance that tends to 1 again.
%   FILTERED = LOW_PASS(WHITE, CUTOFF_HZ, RATE_HZ) runs a second-order Butterworth filter from rest
%   along the columns of WHITE. Bilinear: K = tan(pi f / rate), D = 1 + K sqrt(2) + K^2,
%   b = K^2 / D [1 2 1], a = [1, 2 (K^2 - 1) / D, (1 - K sqrt(2) + K^2) / D].
%
%   See also FLOOR_NOISE, PROBE_KNOTS.

k = tan(pi * cutoff_hz / rate_hz);
scale = 1 + sqrt(2) * k + k^2;
b = k^2 / scale * [1 2 1];
a = [1, 2 * (k^2 - 1) / scale, (1 - sqrt(2) * k + k^2) / scale];
settle = ceil(8 * rate_hz / cutoff_hz);  % until nothing is left of the start
gain = norm(filter(b, a, [1; zeros(settle - 1, 1)]));
filtered = filter(b, a, white) / gain;
end
