function v2 = junction_v2(u, path, cruise_v, accel, limits)
%JUNCTION_V2   Squared speed that each junction of moves allows, whatever the cruise speeds.
%   V2 = JUNCTION_V2(U, PATH, CRUISE_V, ACCEL, LIMITS) takes N-by-4 unit vectors, lengths of moves
%   over x, y, z in mm, cruise speeds in mm/s and accelerations in mm/s2, and limits of LIMIT_TABLE,
%   and returns N-1 values in mm2/s2:
%
%     classic jerk       as Marlin has it up to 2.1.2, see below; by the rule of Marlin 2.1.3 and
%                        RepRapFirmware v = min_i jerk_i / |u2_i - u1_i|
%     junction deviation v^2 = a d s / (1 - s), s = sqrt((1 + u1.u2) / 2), v at least 0.05 mm/s,
%                        a = min(accel of the entered move, M201_i / |n_i|), n along u2 - u1
%     square corner vc   v^2 = vc^2 (sqrt(2) - 1) s / (1 - s), so vc at 90 degrees, and no more than
%                        a L / 2 s / sqrt(1 - s^2) of both moves, whose arc ends by their middles;
%                        v at most 1 mm/s / |e2 - e1|, as the extruder jumps by default
%
%   The last two take u over x, y, z; beside an E-only move they demand a full stop.
%
%   See also PLAN_MOVES.
%
%   Reference: Marlin, JUNCTION_DEVIATION_MM and CLASSIC_JERK; Klipper, square_corner_velocity.

tiny = 1e-12;  % keeps a quotient finite where the limit does not bind
minimum_v = 0.05;  % mm/s, Marlin's MINIMUM_PLANNER_SPEED
instant_e_v = 1;  % mm/s, Klipper's instantaneous_corner_velocity
change = diff(u, 1, 1);
jerk_v = min(limits.jerk(2:end, :) ./ max(abs(change), tiny), [], 2);
stock_v = stock_jerk_v(u, cruise_v, limits.jerk);
is_stock = ~limits.is_difference(2:end);
jerk_v(is_stock) = stock_v(is_stock);

before = u(1:end - 1, 1:3);
after = u(2:end, 1:3);
s = sqrt(min(max((1 + sum(before .* after, 2)) / 2, 0), 1));
sharpness = s ./ max(1 - s, tiny);
deviation = limits.deviation(2:end);
corner = min(limits.corner(1:end - 1), limits.corner(2:end));
turn = after - before;
turn = turn ./ max(sqrt(sum(turn.^2, 2)), tiny);
v2 = jaxcorr.along(limits.max_accel(2:end, 1:3), turn, accel(2:end)) .* deviation .* sharpness;
is_corner = ~isnan(corner);
reach = min(accel(1:end - 1) .* path(1:end - 1), accel(2:end) .* path(2:end)) / 2;
reach = reach .* s ./ max(sqrt(1 - s.^2), tiny);
pushed_v = instant_e_v ./ max(abs(change(:, 4)), tiny);
corner_v2 = min(min(corner.^2 * (sqrt(2) - 1) .* sharpness, reach), pushed_v.^2);
v2(is_corner) = corner_v2(is_corner);
v2 = max(v2, minimum_v^2);
v2(~(path(1:end - 1) > 0 & path(2:end) > 0)) = 0;
is_classic = isnan(deviation) & isnan(corner);
v2(is_classic) = jerk_v(is_classic).^2;
end

function v = stock_jerk_v(u, cruise_v, jerk)
% With both moves at the slower cruise speed (the entered one, as it happens, at its own), an axis
% that goes on jumps by the difference, one that reverses by the larger of the two, and the
% junction is slowed until no axis jumps by more than its jerk. Where that is slower than the
% speeds that both moves may start or end with, the entered move's takes its place.
tiny = 1e-12;
safe_share = 0.99;  % Marlin's threshold for starting and ending apart
column = @(values) reshape(values, [], 1);  % of one move too, whose ends are 1-by-0
entered_v = column(cruise_v(2:end));
slower = min(column(cruise_v(1:end - 1)), entered_v);
leave = u(1:end - 1, :) .* slower;
enter = u(2:end, :) .* entered_v;
jump = max(abs(leave), abs(enter));
goes_on = leave .* enter > 0;
difference = abs(leave - enter);
jump(goes_on) = difference(goes_on);
v = slower .* min(min(jerk(2:end, :) ./ max(jump, tiny), [], 2), 1);
safe_v = jaxcorr.along(jerk, u, cruise_v);
entered_safe_v = column(safe_v(2:end));
is_safe = min(column(safe_v(1:end - 1)), entered_safe_v) > safe_share * v;
v(is_safe) = entered_safe_v(is_safe);
end
