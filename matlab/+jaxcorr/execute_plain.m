function [state, moves] = execute_plain(state, table)
%EXECUTE_PLAIN   Moves of many plain lines at once.
%   [STATE, MOVES] = EXECUTE_PLAIN(STATE, TABLE) executes rows of PLAIN_TABLE while coordinates are
%   absolute, in mm and without offset. MOVES has rows of x, y, z (physical, mm), extrude (mm),
%   feedrate (mm/s) and line; a line that changes nothing but the feedrate makes none.
%
%   See also PLAIN_TABLE, EXECUTE_LINE.

position = zeros(size(table, 1), 3);
for axis = 1:3
    position(:, axis) = held(table(:, axis), state.position(axis));
end
feedrate = held(table(:, 5) / 60, state.feedrate);
if state.is_e_relative
    extrude = table(:, 4);
    extrude(isnan(extrude)) = 0;
    state.e = state.e + sum(extrude);
else
    e = held(table(:, 4), state.e);
    extrude = diff([state.e; e]);
    state.e = e(end);
end
is_moved = any(diff([state.position; position], 1, 1) ~= 0, 2);
state.position = position(end, :);
state.feedrate = feedrate(end);
moves = [position, extrude, feedrate * state.factor, table(:, 6)];
moves = moves(is_moved | extrude ~= 0, :);
end

function column = held(column, start)
% Each NaN takes the value before it.
known = cummax((1:numel(column))' .* ~isnan(column));
values = [start; column];
column = values(known + 1);
end
