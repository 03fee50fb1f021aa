function [layer, layer_z_mm] = assign_layers(is_printing, is_z_step, end_z_mm, marks)
%ASSIGN_LAYERS   The layer of every move, from slicers' comments or, where there are none, from Z.
%   [LAYER, LAYER_Z_MM] = ASSIGN_LAYERS(IS_PRINTING, IS_Z_STEP, END_Z_MM, MARKS) takes columns over
%   N moves: whether a move extrudes along XY outside custom G-code, whether it changes Z and does
%   not print, and Z at its end. MARKS is a cell array with rows of the next move's index, kind
%   ('change', 'layer' or 'z') and value, in order. LAYER counts from 1 and is 0 for no layer;
%   LAYER_Z_MM is the height of each layer's first printing move.
%
%   A layer reaches from its mark to the next. What comes before the first mark belongs to no layer,
%   and neither does what comes after the last printing move: the end G-code retracts, wipes and
%   parks. Layers without a move are dropped. A file that neither prints nor marks is one layer.
%
%   See also PARSE_GCODE, READ_COMMENTS.

num_moves = numel(is_printing);
starts = starts_from_marks(marks(cell2mat(marks(:, 1)) <= num_moves, :));
if isempty(starts)
    starts = starts_from_z(is_printing, is_z_step, end_z_mm);
end
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
layer_z_mm = layer_heights(layer, is_printing, end_z_mm);
end

function starts = starts_from_marks(marks)
% Index of each layer's first move, by the most trusted kind of mark in the file.
starts = zeros(0, 1);
for kind = {'change', 'layer', 'z'}
    chosen = marks(strcmp(marks(:, 2), kind{1}), :);
    if ~isempty(chosen)
        % The same number twice in a row is the same layer; LAYER_CHANGE has no number.
        is_new = [true; ~strcmp(chosen(2:end, 3), chosen(1:end - 1, 3))];
        starts = cell2mat(chosen(is_new | strcmp(kind{1}, 'change'), 1));
        return
    end
end
end

function starts = starts_from_z(is_printing, is_z_step, end_z_mm)
% Index of the first Z step before printing goes on at another height. A Z hop comes back to the
% same height, and a spiral has no Z step: neither is a new layer.
printing = find(is_printing);
starts = zeros(0, 1);
if isempty(printing)
    return
end
steps = find(is_z_step);
z = end_z_mm(printing);
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
