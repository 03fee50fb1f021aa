function [errors, pending] = follow_path(state, samples)
%FOLLOW_PATH   What the smooth path beside a network predicts.
%   [ERRORS, PENDING] = FOLLOW_PATH(STATE, SAMPLES) takes the STATE of PREDICT_ERROR before N raw
%   samples and returns N-by-K errors in mm, and what these samples add to later ones.
%
%   The path is a regression, axis by axis, on the velocity of the last samples, which counts up to
%   a bound beyond those of training, its hyperbolic tangents at several scales, its direction along the path, and ramps of the speed along the path,
%   by themselves and times that direction. Each sample's share of all the errors to come is summed
%   up when it arrives.
%
%   See also PREDICT_ERROR.

path = state.model.path;
velocities = samples(:, path.velocities);
speed = sqrt(sum(velocities.^2, 2) + path.rest^2);
ramps = min(max((speed - path.knots(1:end - 1)) ./ diff(path.knots), 0), 1);
errors = zeros(size(velocities));
pending = state.path;
for axis = 1:size(velocities, 2)
    v = velocities(:, axis);
    direction = v ./ speed;
    bounded = min(max(v, -path.most(axis)), path.most(axis));
    said = [bounded, tanh(v ./ path.scale(:, axis)'), direction, ramps, ramps .* direction] ...
        * path.response(:, :, axis);
    for t = 1:numel(v)
        total = [pending(axis, :), 0] + said(t, :);
        errors(t, axis) = total(1) + path.offset(axis);
        pending(axis, :) = total(2:end);
    end
end
end
