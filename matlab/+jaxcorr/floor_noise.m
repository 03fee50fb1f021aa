function noise_mm = floor_noise(num_samples, rms_mm, cutoff_hz, rate_hz)
%FLOOR_NOISE   Band-limited noise.
%   NOISE_MM = FLOOR_NOISE(NUM_SAMPLES, RMS_MM, CUTOFF_HZ, RATE_HZ) draws NUM_SAMPLES-by-2 (x, y)
%   values of the given RMS from the global random stream: white noise through a second-order
%   Butterworth low-pass that started long before. Bilinear: K = tan(pi f / rate),
%   D = 1 + K sqrt(2) + K^2, b = K^2 / D [1 2 1],
%   a = [1, 2 (K^2 - 1) / D, (1 - K sqrt(2) + K^2) / D].
%
%   See also SIMULATE_LAYER.

k = tan(pi * cutoff_hz / rate_hz);
scale = 1 + sqrt(2) * k + k^2;
b = k^2 / scale * [1 2 1];
a = [1, 2 * (k^2 - 1) / scale, (1 - sqrt(2) * k + k^2) / scale];
settle = ceil(8 * rate_hz / cutoff_hz);  % until nothing is left of the start
gain = norm(filter(b, a, [1; zeros(settle - 1, 1)]));
noise_mm = filter(b, a, randn(settle + num_samples, 2)) * (rms_mm / gain);
noise_mm = noise_mm(settle + 1:end, :);
end
