function table = limit_table(limits, index, options)
%LIMIT_TABLE   The limits of every move as arrays, options applied.
%   TABLE = LIMIT_TABLE(LIMITS, INDEX, OPTIONS) takes a struct array as PARSE_GCODE has it, the
%   index into it of each of N moves, and options of PLAN_OPTIONS. TABLE has max_feedrate (mm/s),
%   max_accel (mm/s2) and jerk (mm/s), N-by-4; accel (mm/s2; P, T, R), N-by-3; and N-by-1
%   max_velocity (mm/s, along a path), is_difference (the rule of the jerk), cruise_ratio, deviation
%   (mm) and corner (square corner velocity, mm/s); the last two are NaN where they are not in force.
%
%   See also PLAN_MOVES.

accel = [vertcat(limits.print_accel_mm_s2), vertcat(limits.travel_accel_mm_s2), ...
    vertcat(limits.retract_accel_mm_s2)];
table = struct('max_feedrate', vertcat(limits.max_feedrate_mm_s), ...
    'max_accel', vertcat(limits.max_accel_mm_s2), 'accel', accel, ...
    'jerk', vertcat(limits.classic_jerk_mm_s), ...
    'deviation', vertcat(limits.junction_deviation_mm), ...
    'corner', vertcat(limits.square_corner_velocity_mm_s), ...
    'max_velocity', vertcat(limits.max_velocity_mm_s), ...
    'is_difference', vertcat(limits.is_jerk_of_difference), ...
    'cruise_ratio', vertcat(limits.minimum_cruise_ratio));
if ~isnan(options.accel_mm_s2)
    table.accel(:, 1:2) = options.accel_mm_s2;
    table.max_accel(:, 1:2) = max(table.max_accel(:, 1:2), options.accel_mm_s2);
end
% Where another scheme was in force, the stock jerk is what there is.
stock = jaxcorr.ender3_v2();
is_unset = any(isnan(table.jerk), 2);
table.jerk(is_unset, :) = repmat(stock.classic_jerk_mm_s, nnz(is_unset), 1);
if ~isnan(options.classic_jerk_mm_s)
    table.jerk(:, 1:2) = options.classic_jerk_mm_s;
end
schemes = [options.classic_jerk_mm_s, options.junction_deviation_mm, ...
    options.square_corner_velocity_mm_s];
if ~all(isnan(schemes))
    table.deviation(:) = options.junction_deviation_mm;
    table.corner(:) = options.square_corner_velocity_mm_s;
end
for name = fieldnames(table)'
    table.(name{1}) = table.(name{1})(index, :);
end
end
