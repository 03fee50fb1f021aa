function plan = plan_moves(program, options)
%PLAN_MOVES   Plans moves by look-ahead, from rest to rest: Marlin's scheme in squared speeds.
%   PLAN = PLAN_MOVES(PROGRAM) takes moves as PARSE_GCODE gives them.
%   PLAN = PLAN_MOVES(PROGRAM, OPTIONS) takes options as PLAN_OPTIONS gives them.
%
%   PLAN is a struct of arrays over N moves: start_mm and direction (unit vector over x, y, z; zero
%   for an E-only move), N-by-3; length_mm, extrude_mm, accel_mm_s2; feature, an index into
%   FEATURES; entry_v, peak_v and exit_v, mm/s along the move; start_s, when it begins, with its
%   pause dwell_s; accel_s, cruise_s and decel_s. motion_s is when the last move ends, total_s the time
%   of the whole plan, with a pause at its end.
%
%   The length of a move is its way in x, y, z, or that of E where only E moves. With u the unit
%   vector over x, y, z, e (E of an E-only move counts 1):
%
%     cruise      v = min(feedrate, M203_i / |u_i|), along a path no more than Klipper's VELOCITY
%     accel       a = min(P or T or R, M201_i / |u_i|)   P: E with XYZ, T: XYZ alone, R: E alone
%     junction    as JUNCTION_V2 has it, then no faster than both cruise speeds; rest at the start,
%                 the end, a dwell and a move of no length
%     trapezoid   peak v^2 = min(cruise v^2, (2 a L + entry v^2 + exit v^2) / 2)
%     smoothing   as SMOOTHED_V2 has it, by Klipper's minimum cruise ratio
%
%   See also PLAN_LAYER, JUNCTION_V2, LOOK_AHEAD, SAMPLE_PLAN.
%
%   Reference: Marlin, planner.cpp, JUNCTION_DEVIATION_MM and CLASSIC_JERK (behaviour).

if nargin < 2
    options = jaxcorr.plan_options();
end
limits = jaxcorr.limit_table(program.limits, program.limits_index, options);
way = program.end_mm - program.start_mm;
path = sqrt(sum(way.^2, 2));
has_path = path > 0;
length_mm = path;
length_mm(~has_path) = abs(program.extrude_mm(~has_path));
u = [way, program.extrude_mm] ./ max(length_mm, 1e-12);
feedrate = program.feedrate_mm_s;
if ~isnan(options.velocity_mm_s)
    feedrate(any(u(:, 1:2) ~= 0, 2)) = options.velocity_mm_s;
end
check_speed(feedrate, length_mm, program.line);

feedrate(has_path) = min(feedrate(has_path), limits.max_velocity(has_path));
cruise_v = jaxcorr.along(limits.max_feedrate, u, feedrate);
base = limits.accel(:, 3);  % R
base(has_path) = limits.accel(has_path, 2);  % T
is_print = has_path & program.extrude_mm ~= 0;
base(is_print) = limits.accel(is_print, 1);  % P
accel = jaxcorr.along(limits.max_accel, u, base);

% One junction speed per boundary, N + 1 of them.
node_v2 = zeros(numel(path) + 1, 1);
node_v2(2:end - 1) = min(jaxcorr.junction_v2(u, path, cruise_v, accel, limits), ...
    min(cruise_v(1:end - 1), cruise_v(2:end)).^2);
is_point = length_mm == 0;
node_v2([program.dwell_s > 0 | is_point; false]) = 0;
node_v2([false; is_point]) = 0;
if any(limits.cruise_ratio > 0)
    reach_v2 = 2 * accel .* length_mm;
    allowed_v2 = jaxcorr.smoothed_v2(node_v2, reach_v2, ...
        (1 - limits.cruise_ratio) .* reach_v2, cruise_v.^2);
    cruise_v = sqrt(allowed_v2);
    node_v2(2:end - 1) = min(node_v2(2:end - 1), min(allowed_v2(1:end - 1), allowed_v2(2:end)));
end
node_v2 = jaxcorr.look_ahead(node_v2, 2 * accel .* length_mm);

direction = u(:, 1:3);
direction(~has_path, :) = 0;
plan = struct('start_mm', program.start_mm, 'direction', direction, 'length_mm', length_mm, ...
    'extrude_mm', program.extrude_mm, 'feature', program.feature, 'accel_mm_s2', accel, ...
    'dwell_s', program.dwell_s);
plan = add_trapezoids(plan, node_v2, cruise_v);
ends = cumsum(plan.dwell_s + plan.accel_s + plan.cruise_s + plan.decel_s);
plan.start_s = [0; ends(1:end - 1)];
plan.motion_s = ends(end);
plan.total_s = plan.motion_s + program.end_dwell_s;
end

function plan = add_trapezoids(plan, node_v2, cruise_v)
% Entry, peak and exit speed of each move, and the times it speeds up, cruises, slows down.
entry_v2 = node_v2(1:end - 1);
exit_v2 = node_v2(2:end);
plan.entry_v = sqrt(entry_v2);
plan.exit_v = sqrt(exit_v2);
crest_v2 = (2 * plan.accel_mm_s2 .* plan.length_mm + entry_v2 + exit_v2) / 2;
is_full = crest_v2 > cruise_v.^2;
peak_v = sqrt(crest_v2);
peak_v(is_full) = cruise_v(is_full);
% A move that only just reaches its exit speed may round below it: it has no ramp then.
plan.peak_v = max(peak_v, max(plan.entry_v, plan.exit_v));
ramps_mm = (2 * plan.peak_v.^2 - entry_v2 - exit_v2) ./ (2 * plan.accel_mm_s2);
plan.accel_s = (plan.peak_v - plan.entry_v) ./ plan.accel_mm_s2;
plan.cruise_s = is_full .* max(plan.length_mm - ramps_mm, 0) ./ max(plan.peak_v, 1e-12);
plan.decel_s = (plan.peak_v - plan.exit_v) ./ plan.accel_mm_s2;
end

function check_speed(feedrate, length_mm, line)
stuck = find(length_mm > 0 & ~(feedrate > 0), 1);
if ~isempty(stuck)
    error('jaxcorr:planner:noFeedrate', ...
        'line %d: expected a feedrate above 0 mm/s, got %g. Give the move an F.', ...
        line(stuck), feedrate(stuck));
end
end
