function program = parse_gcode(text, name, firmware)
%PARSE_GCODE   G-code as straight moves with a feedrate and the limits in force.
%   PROGRAM = PARSE_GCODE(TEXT, NAME) parses the text of a G-code file that messages call NAME.
%   PROGRAM = PARSE_GCODE(TEXT, NAME, FIRMWARE) reads it as FIRMWARE_LIMITS's 'marlin2.0',
%   'marlin2.1', 'klipper' or 'reprapfirmware' would; else the text tells which one it is for.
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
%   and end_dwell_s (pause after the last move), layer_z_mm (one per layer), slicer (its name),
%   firmware and unknown_commands (a cell array: each command that was neither executed nor known to
%   move nothing, as often as it occurs).
%
%   A move starts where the one before it ended, except after G28, which puts the tool at the home
%   corner (0, 0, 0) without a move. What is malformed raises an error with line and text.
%
%   See also READ_GCODE, EXECUTE_LINE, ASSIGN_LAYERS.

if nargin < 3
    firmware = '';
end
lines = split_lines(text, name);
is_comment = strncmp(lines, ';', 1);
[kinds, values] = jaxcorr.read_comments(lines(is_comment));
comments = [num2cell(find(is_comment)), kinds, values];
comments = comments(~cellfun('isempty', kinds), :);

[moves, events] = execute(lines, is_comment, jaxcorr.initial_state(name));
if isempty(moves)
    error('jaxcorr:gcode:noMoves', ...
        '%s: expected at least one move, got %d lines without one. Slice the part again.', ...
        name, numel(lines));
end
events = sortrows_by_line([comments; events]);
program = pack(moves, events, firmware);
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
if ~state.is_relative && state.unit_mm == 1 && ~any([state.offset, state.lift_mm])
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

function program = pack(moves, events, firmware)
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
kinds = {'change', 'layer', 'numbered', 'begin', 'z'};
marks = events(ismember(events(:, 2), kinds), :);
heights = of_kind('height');
heights = [str2double(heights(:, 3)); NaN];
heights = [heights(heights > 0); NaN];
[layer, layer_z_mm] = jaxcorr.assign_layers(is_extruding & label ~= 4, ...
    start(:, 3) ~= finish(:, 3) & ~is_extruding, finish, marks, heights(1));

flavors = of_kind('flavor');
foreign = of_kind('foreign');
if isempty(firmware)
    firmware = jaxcorr.find_firmware(flavors(:, 3), foreign(:, 3));
end
[limits, changes, not_own] = settle(of_kind('limit'), firmware);
slicer = [of_kind('slicer'); {0, 'slicer', 'unknown'}];
unknown = of_kind('unknown');
program = struct( ...
    'start_mm', start, 'end_mm', finish, 'extrude_mm', extrude, 'feedrate_mm_s', moves(:, 5), ...
    'dwell_s', dwells(of_kind('dwell'), num_moves), 'layer', layer, 'feature', feature, ...
    'line', moves(:, 6), 'limits_index', jaxcorr.last_at(changes, (1:num_moves)') + 1, ...
    'limits', limits, 'layer_z_mm', layer_z_mm, ...
    'end_dwell_s', sum_after(of_kind('dwell'), num_moves), 'slicer', slicer{1, 3}, ...
    'firmware', firmware, 'unknown_commands', {[unknown(:, 3); not_own]});
end

function [limits, changes, not_own] = settle(settings, firmware)
% The limits after each setting of the firmware's own, first those before; the index of the next
% move of each; and the commands that it does not know.
own = struct('klipper', {{'M204', 'SET_VELOCITY_LIMIT'}}, ...
    'reprapfirmware', {{'M201', 'M203', 'M204', 'M205', 'M566'}});
known = {'M201', 'M203', 'M204', 'M205'};
if isfield(own, firmware)
    known = own.(firmware);
end
is_own = false(size(settings, 1), 1);
names = cell(size(is_own));
limits = repmat(jaxcorr.firmware_limits(firmware), numel(is_own) + 1, 1);
last = 1;
for k = 1:numel(is_own)
    [names{k}, arguments, unit_mm] = settings{k, 3}{:};
    is_own(k) = ismember(names{k}, known);
    if is_own(k)
        last = last + 1;
        limits(last) = jaxcorr.read_setting(limits(last - 1), firmware, names{k}, arguments, ...
            unit_mm);
    end
end
limits = limits(1:last);
changes = cell2mat(settings(is_own, 1));
not_own = names(~is_own);
end

function seconds = sum_after(dwells, num_moves)
% Of the pauses after the last move.
is_after = cell2mat(dwells(:, 1)) > num_moves;
seconds = sum([0; cell2mat(dwells(is_after, 3))]);
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
% A pause of no length is still a stop.
full_stop_s = 1e-9;
events = in_range(events, num_moves);
at = cell2mat(events(:, 1));
dwell_s = accumarray([at; num_moves], [cell2mat(events(:, 3)); 0]);
dwell_s(at) = max(dwell_s(at), full_stop_s);
end
