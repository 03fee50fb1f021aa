function v2 = junction_v2(u, has_path, accel, limits, options)
%JUNCTION_V2   Squared speed that each junction of moves allows, whatever the cruise speeds.
%   V2 = JUNCTION_V2(U, HAS_PATH, ACCEL, LIMITS, OPTIONS) takes N-by-4 unit vectors, whether each
%   move has a way in x, y, z, its acceleration in mm/s2, limits of LIMIT_TABLE and options of
%   PLAN_OPTIONS, and returns N-1 values in mm2/s2:
%
%     classic jerk       v = min_i jerk_i / |u2_i - u1_i|
%     junction deviation v^2 = a d s / (1 - s), s = sqrt((1 + u1.u2) / 2), v at least 0.05 mm/s,
%                        a = min(accel of the entered move, M201_i / |n_i|), n along u2 - u1
%     square corner vc   v^2 = vc^2 (sqrt(2) - 1) s / (1 - s), so vc at 90 degrees
%
%   The last two take u over x, y, z; beside an E-only move they demand a full stop.
%
%   See also PLAN_MOVES.
%
%   Reference: Marlin, JUNCTION_DEVIATION_MM and CLASSIC_JERK; Klipper, square_corner_velocity.

tiny = 1e-12;  % keeps a quotient finite where the limit does not bind
minimum_v = 0.05;  % mm/s, Marlin's MINIMUM_PLANNER_SPEED
change = diff(u, 1, 1);
jerk_v = min(limits.jerk(2:end, :) ./ max(abs(change), tiny), [], 2);

before = u(1:end - 1, 1:3);
after = u(2:end, 1:3);
s = sqrt(min(max((1 + sum(before .* after, 2)) / 2, 0), 1));
sharpness = s ./ max(1 - s, tiny);
deviation = limits.deviation(2:end);
if ~isnan(options.square_corner_velocity_mm_s)
    v2 = options.square_corner_velocity_mm_s^2 * (sqrt(2) - 1) * sharpness;
else
    turn = after - before;
    turn = turn ./ max(sqrt(sum(turn.^2, 2)), tiny);
    v2 = jaxcorr.along(limits.max_accel(2:end, 1:3), turn, accel(2:end)) .* deviation .* sharpness;
end
v2 = max(v2, minimum_v^2);
v2(~(has_path(1:end - 1) & has_path(2:end))) = 0;
is_classic = isnan(deviation);
v2(is_classic) = jerk_v(is_classic).^2;
end
