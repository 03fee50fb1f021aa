function [layer, layer_z_mm] = assign_layers(is_printing, is_z_step, end_mm, marks, height_mm)
%ASSIGN_LAYERS   The layer of every move, from slicers' comments or, where there are none, from Z.
%   [LAYER, LAYER_Z_MM] = ASSIGN_LAYERS(IS_PRINTING, IS_Z_STEP, END_MM, MARKS, HEIGHT_MM) takes over
%   N moves whether a move extrudes along XY outside custom G-code, whether it changes Z and does
%   not print, and its end, N-by-3. MARKS is a cell array with rows of the next move's index, kind
%   (one of READ_COMMENTS for layers) and value, in order. HEIGHT_MM is that of a layer, NaN where no
%   comment tells. LAYER counts from 1 and is 0 for no layer; LAYER_Z_MM is the height of each
%   layer's first printing move.
%
%   A layer reaches from its mark to the next that is followed by printing. What comes before the
%   first layer belongs to none, and neither does what comes after the last printing move: the end
%   G-code retracts, wipes and parks. A spiral vase that rises on and on within a layer is cut by
%   height. A file that neither prints nor marks is one layer.
%
%   See also PARSE_GCODE, READ_COMMENTS.

num_moves = numel(is_printing);
starts = starts_from_marks(marks(cell2mat(marks(:, 1)) <= num_moves, :));
if isempty(starts)
    starts = starts_from_z(is_printing, is_z_step, end_mm);
end
printing = find(is_printing);
starts = cut_spirals(with_printing(starts, printing), printing, end_mm(:, 3), height_mm);
raw = ones(num_moves, 1);
if ~isempty(starts)
    raw = jaxcorr.last_at(starts, (1:num_moves)');
end
last = find(is_printing, 1, 'last');
if ~isempty(last) && raw(last) == raw(end)
    raw(last + 1:end) = 0;
end
[used, ~, layer] = unique(raw);
layer = layer(:) - (used(1) == 0);
layer_z_mm = layer_heights(layer, is_printing, end_mm(:, 3));
end

function starts = starts_from_marks(marks)
% Index of each layer's first move, by the most trusted kind of mark in the file.
starts = zeros(0, 1);
for kind = {'change', 'layer', 'numbered', 'begin', 'z'}
    chosen = marks(strcmp(marks(:, 2), kind{1}), :);
    if ~isempty(chosen)
        % These may come again within a layer; the others are written once a layer.
        may_repeat = any(strcmp(kind{1}, {'numbered', 'begin', 'z'}));
        is_new = [true; ~strcmp(chosen(2:end, 3), chosen(1:end - 1, 3))];
        starts = cell2mat(chosen(is_new | ~may_repeat, 1));
        return
    end
end
end

function starts = with_printing(starts, printing)
% The starts that printing follows before the next one; all where nothing is printed at all.
if isempty(printing)
    return
end
num_before = arrayfun(@(at) nnz(printing < at), [starts; Inf]);
starts = starts(diff(num_before) > 0);
end

function starts = starts_from_z(is_printing, is_z_step, end_mm)
% Index of the first Z step before printing goes on at another height. A Z hop comes back to the
% same height, and a spiral has no Z step: neither is a new layer.
printing = find(is_printing);
starts = zeros(0, 1);
if isempty(printing)
    return
end
steps = find(is_z_step);
z = end_mm(printing, 3);
% The start G-code lifts and primes first; the last Z step before printing reaches the layer.
starts = max([steps(steps < printing(1)); 0]);
if starts == 0
    starts = printing(1);
end
heights = z(1);
for i = find(z(2:end) ~= z(1:end - 1))'
    step = steps(find(steps >= printing(i), 1));
    if ~isempty(step) && step < printing(i + 1)
        starts(end + 1, 1) = step; %#ok<AGROW> one per layer
        heights(end + 1, 1) = z(i + 1); %#ok<AGROW>
    end
end
% A print starts at its lowest layer: what is extruded above it beforehand is a priming line.
first = [find(heights(1:end - 1) <= heights(2:end), 1), 1];
starts = starts(first(1):end);
starts = starts(1 + num_priming(starts, printing, end_mm):end);
end

function num = num_priming(starts, printing, end_mm)
% 1 where the first layer is a line along an axis, and the second is not: it primes the nozzle.
% Lines side by side, as wide as the nozzle is, count as one.
num = 0;
if numel(starts) < 2
    return
end
width_mm = 2;
bounds = [starts; size(end_mm, 1) + 1];
widths = zeros(1, 2);
for k = 1:2
    path = end_mm(printing(printing >= bounds(k) & printing < bounds(k + 1)), 1:2);
    widths(k) = min(max(path, [], 1) - min(path, [], 1));
end
num = double(widths(1) < width_mm && width_mm <= widths(2));
end

function cuts = cut_spirals(starts, printing, z_mm, height_mm)
% The starts, and one more for each height of a layer that printing climbs without a step.
cuts = starts;
if isempty(printing) || isempty(starts)
    return
end
first_z = z_mm(printing(1));
if isnan(height_mm)
    height_mm = 0.2;
    if first_z >= 0.03 && first_z <= 1.2
        height_mm = first_z;
    end
end
bounds = [starts; numel(z_mm) + 1];
for k = 1:numel(starts)
    moves = printing(printing >= bounds(k) & printing < bounds(k + 1));
    from_z = z_mm(max(moves - 1, 1));
    to_z = z_mm(moves);
    climb = to_z - from_z;
    % A spiral that is marked climbs by one height a mark.
    is_spiral = sum(climb) > 1.5 * height_mm && all(climb >= 0);
    if is_spiral && to_z(end) - from_z(1) <= 1.2 * sum(climb)
        % A turn belongs to the height that it ends at; what is level before it is a layer too.
        turn = ceil((to_z - from_z(1)) / height_mm - 1e-6);
        cuts = [cuts; moves(find(diff(turn) > 0) + 1)]; %#ok<AGROW> few
    end
end
cuts = sort(cuts);
end

function z_mm = layer_heights(layer, is_printing, end_z_mm)
% Z of each layer's first printing move, or of its first move where it prints nothing.
z_mm = zeros(max([layer; 0]), 1);
for is_chosen = [layer > 0, layer > 0 & is_printing]
    index = find(is_chosen);
    [known, first] = unique(layer(index), 'first');
    z_mm(known) = end_z_mm(index(first));
end
end
