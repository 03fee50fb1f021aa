function [position_mm, velocity_mm_s] = correction_curve(knots_mm, rate_hz, per_knot)
%CORRECTION_CURVE   The curve through the knots of what is added to a reference.
%   [POSITION_MM, VELOCITY_MM_S] = CORRECTION_CURVE(KNOTS_MM, RATE_HZ, PER_KNOT) takes K-by-A knots,
%   RATE_HZ of them a second, and returns ((K - 1) PER_KNOT + 1)-by-A samples of the cubic Hermite
%   through them with the slopes (next - previous) rate / 2, zero at the first and the last knot.
%
%   See also PROBE_KNOTS, SIMULATE_LAYER.

slopes = zeros(size(knots_mm));
slopes(2:end - 1, :) = (knots_mm(3:end, :) - knots_mm(1:end - 2, :)) * (rate_hz / 2);
num_samples = (size(knots_mm, 1) - 1) * per_knot + 1;
index = (0:num_samples - 2)';
first = floor(index / per_knot) + 1;
s = (index - (first - 1) * per_knot) / per_knot;

v0 = slopes(first, :);
v1 = slopes(first + 1, :);
span = (knots_mm(first + 1, :) - knots_mm(first, :)) * rate_hz;
a = 6 * span - 4 * v0 - 2 * v1;
b = 3 * (v0 + v1) - 6 * span;
velocity_mm_s = [v0 + s .* (a + s .* b); slopes(end, :)];
position_mm = [knots_mm(first, :) + s .* (v0 + s .* (a / 2 + s .* b / 3)) / rate_hz; ...
    knots_mm(end, :)];
end
