function [error_mm, state] = run_plant(matrices, state, axis, friction_scale, position_mm, ...
    velocity_mm_s, every)
%RUN_PLANT   Runs the elastic axes along a command.
%   [ERROR_MM, STATE] = RUN_PLANT(MATRICES, STATE, AXIS, FRICTION_SCALE, POSITION_MM, VELOCITY_MM_S,
%   EVERY) takes matrices of PLANT_MATRICES and a command of T+1 samples in L lanes that do not
%   touch each other, (T+1)-by-L. AXIS tells which axis each lane is (1 is x, 2 is y),
%   FRICTION_SCALE whether it has friction (1 or 0), both 1-by-L. STATE is L-by-2: error e (head
%   minus motor, mm) and velocity w of the head, mm/s, at the first sample; the start is [0, v(0)].
%   ERROR_MM holds e after samples EVERY, 2 EVERY, ..., one row each.
%
%   Friction is held over a step at the mean of its two ends: f0 = tanh(w / v_s), w* is w after the
%   step under f0, f = (f0 + tanh(w* / v_s)) / 2.
%
%   See also PLANT_MATRICES, SIMULATE_LAYER.

mean_v = diff(position_mm, 1, 1) * matrices.rate_hz;
num_steps = size(mean_v, 1);
% Coefficients of each lane, columns.
of_lane = @(values) reshape(values(axis), [], 1);
a_ee = of_lane(matrices.a(1, 1, :));
a_ew = of_lane(matrices.a(1, 2, :));
a_we = of_lane(matrices.a(2, 1, :));
a_ww = of_lane(matrices.a(2, 2, :));
g_e = of_lane(matrices.g(1, :)) .* friction_scale(:);
g_w = of_lane(matrices.g(2, :)) .* friction_scale(:);
drive_e = drive(matrices.b(1, :, axis), velocity_mm_s, mean_v);
drive_w = drive(matrices.b(2, :, axis), velocity_mm_s, mean_v);
per_v = 1 / matrices.friction_velocity_mm_s;

e = state(:, 1);
w = state(:, 2);
history = zeros(numel(e), num_steps);
for k = 1:num_steps
    f = tanh(w * per_v);
    e_held = a_ee .* e + a_ew .* w + drive_e(:, k) + g_e .* f;
    w_held = a_we .* e + a_ww .* w + drive_w(:, k) + g_w .* f;
    change = (tanh(w_held * per_v) - f) / 2;
    e = e_held + g_e .* change;
    w = w_held + g_w .* change;
    history(:, k) = e;
end
error_mm = history(:, every:every:end)';
state = [e, w];
end

function drive_of_lane = drive(b, velocity_mm_s, mean_v)
% What the command adds at each step, L-by-T: a step is a column, as the loop takes it.
b = reshape(b, 3, []);
drive_of_lane = (b(1, :) .* velocity_mm_s(1:end - 1, :) + b(2, :) .* velocity_mm_s(2:end, :) ...
    + b(3, :) .* mean_v)';
end
