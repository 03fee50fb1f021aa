function [errors, memory] = follow_plant(state, samples)
%FOLLOW_PLANT   What the identified plant beside a network predicts.
%   [ERRORS, MEMORY] = FOLLOW_PLANT(STATE, SAMPLES) takes the STATE of PREDICT_ERROR before N raw
%   samples and returns N-by-K errors in mm, and what the plant remembers after them: lags in mm,
%   velocities in mm/s, what tells of a curve, and lags that are told later.
%
%   Each axis is a mass on a spring with friction and the stepper's own error. Between two samples
%   the velocity is a ramp about an instant that the distances of all axes agree on, and a cubic
%   for what they do not; the linear part is stepped exactly in parts of a sample, over which
%   friction has the mean of the line that it follows from the start of the step. On a CoreXY
%   friction and stepper error are of the motors of x + y and x - y.
%
%   See also PREDICT_ERROR, JAXCORR.FOLLOW_PATH.

plant = state.model.plant;
k = numel(plant.offset);
lag = state.path(1:k);
velocity = state.path(k+1:2*k);
recalled = state.path(2*k+1:2*k+plant.num_recalled);
waiting = reshape(state.path(2*k+plant.num_recalled+1:end), k, [])';
errors = zeros(size(samples, 1), numel(plant.offset));
before = state.previous;
for t = 1:size(samples, 1)
    x = samples(t, plant.positions);
    v = samples(t, plant.velocities);
    if isempty(before)
        lag = zeros(size(x));
        velocity = v;
        recalled = [recalled(2:end), 0];
    else
        last = before(plant.positions);
        difference = (x - last) / plant.sample_s - (before(plant.velocities) + v) / 2;
        change = v - before(plant.velocities);
        evidence = sum(change.^2) + plant.rounding_mm_s^2 + plant.curve_weight * min(recalled);
        shift = sum(difference .* change) / evidence;
        shift = min(max(shift, -plant.most_shift), plant.most_shift);
        motion = place(plant, before(plant.velocities), change, difference - shift * change, shift);
        [lag, velocity] = advance(plant, last, motion, lag, velocity);
        recalled = [recalled(2:end), sum(difference.^2)];
    end
    before = samples(t, :);
    told = lag;
    speed = velocity;
    x = mod(x, plant.first_period);
    steady = place(plant, v, zeros(size(v)), zeros(size(v)), 0);
    for ahead = 1:plant.samples_ahead
        [told, speed] = advance(plant, x, steady, told, speed);
        x = x + v * plant.sample_s;
    end
    waiting = [waiting; told]; %#ok<AGROW>
    errors(t, :) = waiting(1, :) + plant.offset;
    waiting = waiting(2:end, :);
end
memory = [lag, velocity, recalled, reshape(waiting', 1, [])];
end

function motion = place(plant, before, change, left, shift)
% Distances and velocities at the ends of the steps of a sample: a ramp, earlier by the shift, and a
% cubic.
share = (0:plant.num_steps)' / plant.num_steps;
width = 1 - 2 * abs(shift);
begin = max(-2 * shift, 0);
ramp = min(max((share - begin) / width, 0), 1);
gone = width * ramp.^2 / 2 + max(share - begin - width, 0);
motion.velocity = before + ramp * change + 6 * share .* (1 - share) * left;
motion.distance = plant.sample_s * ...
    (share * before + gone * change + share.^2 .* (3 - 2 * share) * left);
end

function [lag, velocity] = advance(plant, position, motion, lag, velocity)
% One sample on.
start = mod(position, plant.first_period);
moved = motion.distance(1:end-1, :);
ahead = motion.distance(2:end, :);
deviation = deviate(plant, start + (moved + ahead) / 2, (ahead - moved) / 2);
% What command and motors add to lags and velocities in each step.
added = cell(1, 2);
for i = 1:2
    gains = reshape(plant.command(i, :, :), 3, []);
    added{i} = gains(1, :) .* motion.velocity(1:end-1, :) ...
        + gains(2, :) .* motion.velocity(2:end, :) + gains(3, :) .* (ahead - moved) ...
        + plant.force(i, :) .* deviation;
end
of_lag = reshape(plant.transition(:, 1, :), 2, []);
of_velocity = reshape(plant.transition(:, 2, :), 2, []);
% Rows of a motor: what its full friction takes from lags and from velocities.
own = diag(plant.friction(1, :));
pulls = diag(plant.friction(2, :));
if is_corexy(plant)
    own = reshape(plant.friction(1, :, :), 2, 2);
    pulls = reshape(plant.friction(2, :, :), 2, 2);
end
of_motors = turn(plant, pulls);
strength = diag(of_motors)';
others = of_motors - diag(strength);
for step = 1:plant.num_steps
    next_lag = of_lag(1, :) .* lag + of_velocity(1, :) .* velocity + added{1}(step, :);
    next_velocity = of_lag(2, :) .* lag + of_velocity(2, :) .* velocity + added{2}(step, :);
    value = tanh(turn(plant, velocity) ./ plant.friction_velocity);
    change = turn(plant, next_velocity - velocity) - value * others;
    slope = (1 - value.^2) ./ plant.friction_velocity;
    x = strength .* slope;
    rubbed = (value .* (1 + x / 2) + change .* slope .* (1 + x) / 2) ./ (1 + x + x.^2 / 2);
    lag = next_lag - rubbed * own;
    velocity = next_velocity - rubbed * pulls;
end
end

function is = is_corexy(plant)
is = ndims(plant.friction) == 3;
end

function values = turn(plant, values)
% From x and y to the motors; on a CoreXY twice is twice x and y.
if is_corexy(plant)
    values = values * [1, 1; 1, -1];
end
end

function deviation = deviate(plant, middle, half)
% Mean over each step of the axes' share in the motors' error and of a share of its change, in mm.
middle = turn(plant, middle);
half = turn(plant, half);
total = zeros(size(middle));
rise = zeros(size(middle));
for p = 1:size(plant.sine, 1)
    phase = 2 * pi / plant.first_period * 2^(p - 1) * middle;
    angle = 2 * pi / plant.first_period * 2^(p - 1) * half;
    s = plant.sine(p, :);
    c = plant.cosine(p, :);
    mean = ones(size(angle));
    mean(angle ~= 0) = sin(angle(angle ~= 0)) ./ angle(angle ~= 0);
    total = total + mean .* (s .* sin(phase) + c .* cos(phase));
    rise = rise + 2 * sin(angle) .* (s .* cos(phase) - c .* sin(phase));
end
num_motors = 1 + is_corexy(plant);
deviation = (turn(plant, total) + plant.slope .* turn(plant, rise)) / num_motors;
end
