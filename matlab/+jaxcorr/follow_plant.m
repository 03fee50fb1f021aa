function [errors, memory] = follow_plant(state, samples)
%FOLLOW_PLANT   What the identified plant beside a network predicts.
%   [ERRORS, MEMORY] = FOLLOW_PLANT(STATE, SAMPLES) takes the STATE of PREDICT_ERROR before N raw
%   samples and returns N-by-K errors in mm, and what the plant remembers after them: a row of
%   lags in mm, one of velocities in mm/s, and rows of lags that are told later.
%
%   Each axis is a mass on a spring with friction and the stepper's own error. The command between
%   two samples is the cubic through positions and velocities; the linear part is stepped exactly
%   in parts of a sample, over which friction has the mean of the line that it follows from the
%   start of the step.
%
%   See also PREDICT_ERROR, JAXCORR.FOLLOW_PATH.

plant = state.model.plant;
lag = state.path(1, :);
velocity = state.path(2, :);
waiting = state.path(3:end, :);
errors = zeros(size(samples, 1), numel(plant.offset));
before = state.previous;
for t = 1:size(samples, 1)
    x = samples(t, plant.positions);
    v = samples(t, plant.velocities);
    if isempty(before)
        lag = zeros(size(x));
        velocity = v;
    else
        last = before(plant.positions);
        command = [before(plant.velocities); v; x - last];
        [lag, velocity] = advance(plant, last, command, lag, velocity);
    end
    before = samples(t, :);
    told = lag;
    speed = velocity;
    x = mod(x, plant.first_period);
    for k = 1:plant.samples_ahead
        command = [v; v; v * plant.sample_s];
        [told, speed] = advance(plant, x, command, told, speed);
        x = x + command(3, :);
    end
    waiting = [waiting; told]; %#ok<AGROW>
    errors(t, :) = waiting(1, :) + plant.offset;
    waiting = waiting(2:end, :);
end
memory = [lag; velocity; waiting];
end

function [lag, velocity] = advance(plant, position, command, lag, velocity)
% One sample on; COMMAND has rows of velocity before, velocity now and distance.
start = mod(position, plant.first_period);
moved = zeros(size(start));
for step = 1:size(plant.command, 1)
    ahead = plant.places(step + 1, :) * command;
    deviation = mean_deviation(plant, start + (moved + ahead) / 2, (ahead - moved) / 2);
    next = zeros(2, numel(start));
    for i = 1:2
        gains = reshape(plant.command(step, i, :, :), 3, []);
        next(i, :) = reshape(plant.transition(i, 1, :), 1, []) .* lag ...
            + reshape(plant.transition(i, 2, :), 1, []) .* velocity ...
            + plant.force(i, :) .* deviation + sum(gains .* command, 1);
    end
    value = tanh(velocity ./ plant.friction_velocity);
    slope = 1 - value.^2;
    x = plant.friction(2, :) ./ plant.friction_velocity .* slope;
    change = (next(2, :) - velocity) ./ plant.friction_velocity;
    rubbed = (value .* (1 + x / 2) + change .* slope .* (1 + x) / 2) ./ (1 + x + x.^2 / 2);
    lag = next(1, :) - plant.friction(1, :) .* rubbed;
    velocity = next(2, :) - plant.friction(2, :) .* rubbed;
    moved = ahead;
end
end

function total = mean_deviation(plant, middle, half)
% Mean over a step of the motor's error and of a share of its change, in mm.
total = zeros(size(middle));
for p = 1:size(plant.sine, 1)
    turn = 2 * pi / plant.first_period * 2^(p - 1);
    s = plant.sine(p, :);
    c = plant.cosine(p, :);
    angle = turn * half;
    mean = ones(size(angle));
    mean(angle ~= 0) = sin(angle(angle ~= 0)) ./ angle(angle ~= 0);
    total = total + mean .* (s .* sin(turn * middle) + c .* cos(turn * middle)) ...
        + plant.slope * 2 .* sin(angle) .* (s .* cos(turn * middle) - c .* sin(turn * middle));
end
end
