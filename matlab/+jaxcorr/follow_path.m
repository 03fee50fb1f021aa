function [errors, pending] = follow_path(state, samples)
%FOLLOW_PATH   What the linear path beside a network predicts.
%   [ERRORS, PENDING] = FOLLOW_PATH(STATE, SAMPLES) takes the STATE of PREDICT_ERROR before N raw
%   samples and returns N-by-K errors in mm, and what these samples add to later ones.
%
%   The path is a regression on the velocities of the last 20 samples and on direction and speed of
%   the last four, in bins: the sector that the head moves in, the band of its speed, the same band
%   while it slows down, and its direction within the band. Each sample's share of all the errors
%   to come is summed up when it arrives.
%
%   See also PREDICT_ERROR.

path = state.model.path;
said = regressors(path, state.previous, samples) * path.response;
errors = zeros(size(samples, 1), numel(path.offset));
pending = state.path;
width = size(errors, 2);
for t = 1:size(errors, 1)
    total = [pending, zeros(1, width)] + said(t, :);
    errors(t, :) = total(1:width) + path.offset;
    pending = total(width + 1:end);
end
end

function columns = regressors(path, previous, samples)
% A row for each sample: its velocities, then what tells its bins.
velocities = samples(:, path.velocities);
before = zeros(min(1, size(samples, 1)), 2);
if ~isempty(previous)
    before = previous(path.velocities);
end
squared = sum(velocities.^2, 2);
speed = sqrt(squared);
faster = double(squared >= path.squared_edges);
none = zeros(size(speed));
bands = [none + 1, faster] - [faster, none];
moving = faster(:, 1);
left = velocities * path.edge_normals' >= 0;
sectors = left & ~left(:, [2:end, 1]) & moving;
slowing = diff([sqrt(sum(before.^2, 2)); speed]) < -path.slowing_mm_s;
unit = velocities ./ max(speed, path.rest_mm_s);
columns = [velocities, sectors, ~moving, bands, bands .* slowing, bands .* unit(:, 1), ...
    bands .* unit(:, 2)];
end
