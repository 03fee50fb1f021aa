function program = parse_gcode(text, name, limits)
%PARSE_GCODE   G-code as straight moves with a feedrate and the limits in force.
%   PROGRAM = PARSE_GCODE(TEXT, NAME) parses the text of a G-code file that messages call NAME.
%   PROGRAM = PARSE_GCODE(TEXT, NAME, LIMITS) starts with LIMITS instead of ENDER3_V2's.
%
%   PROGRAM is a struct of arrays over N moves in execution order:
%     start_mm, end_mm   N-by-3, physical x, y, z; equal where only E moves
%     extrude_mm         N-by-1, filament, negative for a retraction
%     feedrate_mm_s      N-by-1, as requested, after M220
%     dwell_s            N-by-1, pause before the move; > 0 is a full stop
%     layer              N-by-1, from 1; 0 where the move belongs to no layer
%     feature            N-by-1, index into FEATURES
%     line               N-by-1, source line, from 1
%     limits_index       N-by-1, index into limits, a struct array as ENDER3_V2 has it
%   and layer_z_mm (one per layer), slicer (its name) and unknown_commands (a cell array: each
%   command that was neither executed nor known to move nothing, as often as it occurs).
%
%   A move starts where the one before it ended, except after G28, which puts the tool at the home
%   corner (0, 0, 0) without a move. What is malformed raises an error with line and text.
%
%   See also READ_GCODE, EXECUTE_LINE, ASSIGN_LAYERS.

if nargin < 3
    limits = jaxcorr.ender3_v2();
end
lines = split_lines(text, name);
is_comment = strncmp(lines, ';', 1);
[kinds, values] = jaxcorr.read_comments(lines(is_comment));
comments = [num2cell(find(is_comment)), kinds, values];
comments = comments(~cellfun('isempty', kinds), :);

[moves, events] = execute(lines, is_comment, jaxcorr.initial_state(name, limits));
if isempty(moves)
    error('jaxcorr:gcode:noMoves', ...
        '%s: expected at least one move, got %d lines without one. Slice the part again.', ...
        name, numel(lines));
end
events = sortrows_by_line([comments; events]);
program = pack(moves, events, limits);
end

function lines = split_lines(text, name)
text = strrep(strrep(text(:)', sprintf('\r\n'), sprintf('\n')), sprintf('\r'), sprintf('\n'));
binary = find(text == 0, 1);
if ~isempty(binary)
    error('jaxcorr:gcode:binary', '%s:%d: expected G-code as text, got binary data.', ...
        name, 1 + sum(text(1:binary) == 10));
end
byte_order_mark = char([239 187 191]);
if strncmp(text, byte_order_mark, 3)
    text(1:3) = [];
elseif ~isempty(text) && double(text(1)) == 65279
    text(1) = [];
end
lines = reshape(regexp(text, '\n', 'split'), [], 1);
if isempty(lines{end})
    lines(end) = [];
end
end

function [moves, events] = execute(lines, is_comment, state)
% Runs of plain lines go in one piece; every other line is executed by itself.
[is_plain, table] = jaxcorr.plain_table(lines);
other = find(~is_plain & ~is_comment & ~cellfun('isempty', lines));
num_plain = cumsum(is_plain);
last = [num_plain(other); size(table, 1)];  % row of the table before each other line
first = [1; last(1:end - 1) + 1];
moves = cell(2 * numel(last), 1);
events = cell(numel(last), 1);
for k = 1:numel(last)
    if last(k) >= first(k)
        [state, moves{2 * k - 1}] = execute_run(state, table(first(k):last(k), :), lines);
    end
    if k <= numel(other)
        [state, moves{2 * k}, events{k}] = jaxcorr.execute_line(state, lines{other(k)}, other(k));
    end
end
moves = vertcat(zeros(0, 6), moves{:});
events = vertcat(cell(0, 3), events{:});
end

function [state, moves] = execute_run(state, table, lines)
if ~state.is_relative && state.unit_mm == 1 && ~any(state.offset)
    [state, moves] = jaxcorr.execute_plain(state, table);
    return
end
moves = cell(size(table, 1), 1);
for k = 1:numel(moves)
    number = table(k, 6);
    [state, moves{k}] = jaxcorr.execute_line(state, lines{number}, number);
end
moves = vertcat(moves{:});
end

function events = sortrows_by_line(events)
[~, order] = sort(cell2mat(events(:, 1)));  % stable
events = events(order, :);
end

function program = pack(moves, events, limits)
% Packs the moves and what happened between them into arrays.
num_moves = size(moves, 1);
% From line numbers to the index of the next move; both are sorted.
next = jaxcorr.last_at(moves(:, 6), cell2mat(events(:, 1)) - 0.5) + 1;
events(:, 1) = num2cell(next);
of_kind = @(kind) events(strcmp(events(:, 2), kind), :);

finish = moves(:, 1:3);
start = [0 0 0; finish(1:end - 1, :)];
homes = in_range(of_kind('home'), num_moves);
start(cell2mat(homes(:, 1)), :) = reshape(cell2mat(homes(:, 3)), [], 3);
extrude = round(moves(:, 4) * 1e9) / 1e9;

label = held(labels_of(events), num_moves);
is_moving = any(start ~= finish, 2);
is_extruding = any(start(:, 1:2) ~= finish(:, 1:2), 2) & extrude > 0;
feature = 2 - is_moving;  % travel or retraction
feature(is_extruding) = label(is_extruding);
marks = events(ismember(events(:, 2), {'change', 'layer', 'z'}), :);
[layer, layer_z_mm] = jaxcorr.assign_layers(is_extruding & label ~= 4, ...
    start(:, 3) ~= finish(:, 3) & ~is_extruding, finish(:, 3), marks);

changes = of_kind('limits');
slicer = [of_kind('slicer'); {0, 'slicer', 'unknown'}];
unknown = of_kind('unknown');
program = struct( ...
    'start_mm', start, 'end_mm', finish, 'extrude_mm', extrude, 'feedrate_mm_s', moves(:, 5), ...
    'dwell_s', dwells(of_kind('dwell'), num_moves), 'layer', layer, 'feature', feature, ...
    'line', moves(:, 6), 'limits_index', jaxcorr.last_at(cell2mat(changes(:, 1)), ...
    (1:num_moves)') + 1, 'limits', vertcat(limits, changes{:, 3}), ...
    'layer_z_mm', layer_z_mm, 'slicer', slicer{1, 3}, 'unknown_commands', {unknown(:, 3)});
end

function events = in_range(events, num_moves)
events = events(cell2mat(events(:, 1)) <= num_moves, :);
end

function labels = labels_of(events)
% Rows of index and feature code. Labels on lines of their own are worth more than inline ones.
is_own = strcmp(events(:, 2), 'feature');
is_inline = strcmp(events(:, 2), 'inline_feature') & cumsum(is_own) == 0;
chosen = events(is_own | is_inline, :);
[~, names, codes] = jaxcorr.features();
[is_known, at] = ismember(lower(chosen(:, 3)), names);
code = repmat(3, size(chosen, 1), 1);  % unknown
code(is_known) = codes(at(is_known));
labels = [1, 3; cell2mat(chosen(:, 1)), code];
end

function values = held(rows, num_moves)
% Each value from its index to the next one's.
values = rows(jaxcorr.last_at(rows(:, 1), (1:num_moves)'), 2);
end

function dwell_s = dwells(events, num_moves)
% A pause of no length is still a stop, and one after the last move is nothing.
full_stop_s = 1e-9;
events = in_range(events, num_moves);
at = cell2mat(events(:, 1));
dwell_s = accumarray([at; num_moves], [cell2mat(events(:, 3)); 0]);
dwell_s(at) = max(dwell_s(at), full_stop_s);
end
