function [error_mm, state] = run_plant(matrices, state, friction_scale, position_mm, ...
    velocity_mm_s, every)
%RUN_PLANT   Runs the elastic axes along a command.
%   [ERROR_MM, STATE] = RUN_PLANT(MATRICES, STATE, FRICTION_SCALE, POSITION_MM, VELOCITY_MM_S,
%   EVERY) takes matrices of PLANT_MATRICES and a command of T+1 samples in L lanes that do not
%   touch each other, (T+1)-by-2L: x and y of each lane side by side. FRICTION_SCALE tells whether
%   a lane has friction (1 or 0), 1-by-L. STATE is S-by-L, what PLANT_MATRICES calls z, at the first
%   sample; zeros are rest. ERROR_MM holds e after samples EVERY, 2 EVERY, ..., one row each, x and
%   y of each lane side by side.
%
%   Friction is held over a step at the mean of its two ends: f0 = tanh(w / v_s), w* is w after the
%   step under f0, f = (f0 + tanh(w* / v_s)) / 2; w is the speed of the motors.
%
%   See also PLANT_MATRICES, SIMULATE_LAYER.

mean_v = diff(position_mm, 1, 1) * matrices.rate_hz;
[num_steps, num_columns] = size(mean_v);
[a, g] = deal(matrices.a, matrices.g);
of_axis = [0, size(a, 1) / 2];
driven = reshape(drive(matrices.b, velocity_mm_s, mean_v), size(a, 1), [], num_steps);
% Speeds of the motors, by that of friction, from the state.
speeds = zeros(2, size(a, 1));
speeds(:, 2 + of_axis) = matrices.pulls / matrices.friction_velocity_mm_s;
scale = reshape(friction_scale, 1, []) .* [1; 1];
history = zeros(2, num_columns / 2, num_steps);
for k = 1:num_steps
    f = tanh(speeds * state);
    held = a * state + driven(:, :, k) + g * (scale .* f);
    state = held + g * (scale .* (tanh(speeds * held) - f) / 2);
    history(:, :, k) = state(1 + of_axis, :);
end
error_mm = reshape(history(:, :, every:every:end), num_columns, [])';
end

function driven = drive(b, velocity_mm_s, mean_v)
% What the command adds at each step: a column of states for each lane, then for each step.
columns = @(values) reshape(values', 2, []);
driven = b(:, :, 1) * columns(velocity_mm_s(1:end - 1, :)) ...
    + b(:, :, 2) * columns(velocity_mm_s(2:end, :)) + b(:, :, 3) * columns(mean_v);
end
