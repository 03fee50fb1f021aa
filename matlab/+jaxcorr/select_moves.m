function program = select_moves(program, index)
%SELECT_MOVES   Some moves of a program.
%   PROGRAM = SELECT_MOVES(PROGRAM, INDEX) keeps the moves that INDEX names, by number or as a
%   logical vector; what is not per move stays as it is, but for the
%   pause at the end, which belongs to no layer.
%
%   See also PARSE_GCODE, PLAN_LAYER.

for name = {'start_mm', 'end_mm', 'extrude_mm', 'feedrate_mm_s', 'dwell_s', 'layer', 'feature', ...
        'line', 'limits_index'}
    program.(name{1}) = program.(name{1})(index, :);
end
program.end_dwell_s = 0;
end
