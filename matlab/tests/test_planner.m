function [pass, names] = test_planner()
%TEST_PLANNER   Tests of the planner against times and speeds that are known in closed form.
%   PASS = TEST_PLANNER() returns a logical vector, true where a check passed.
%   [PASS, NAMES] = TEST_PLANNER() also returns the names of the checks.
%
%   See also RUN_TESTS, JAXCORR.PLAN_MOVES.

[pass, names] = run_checks({@long_line, @short_line, @corner_of_90_degrees, @square, ...
    @speed_of_junction_deviation, @speed_of_classic_jerk, @straight_on_is_not_slowed, ...
    @reversal_is_slowest, @look_ahead_over_short_moves, @limits_of_axes, @retraction_is_a_stop, ...
    @dwell_is_a_stop, @dwell_at_the_end, @klippers_limits, @options_replace_settings, @samples_follow_the_path, @velocity_is_slope, ...
    @rest_at_both_ends, @velocity_steps_add_up, @last_at_counts_equal_edges, @refusals});
end

function plan = plan_of(options, varargin)
% A plan at 500 mm/s2.
program = jaxcorr.parse_gcode(strjoin(varargin, sprintf('\n')), 'part.gcode');
plan = jaxcorr.plan_moves(program, jaxcorr.plan_options(options{:}));
end

function options = corner_of_5_mm_s()
% 5 mm/s at 90 degrees.
options = {'junction_deviation_mm', 25 * (sqrt(2) - 1) / 500};
end

function pass = is_time(plan, expected_s)
pass = abs(plan.total_s - expected_s) < 1e-6;
end

function pass = long_line()
plan = plan_of({}, 'G1 X100 F6000');
pass = is_time(plan, 1.2) && plan.peak_v == 100;
end

function pass = short_line()
plan = plan_of({}, 'G1 X10 F6000');
pass = is_time(plan, 0.282843) && abs(plan.peak_v - 70.711) < 1e-3;
end

function pass = corner_of_90_degrees()
plan = plan_of(corner_of_5_mm_s(), 'G1 X50 F6000', 'G1 Y50');
pass = is_time(plan, 1.3805) && abs(plan.exit_v(1) - 5) < 1e-9;
end

function pass = square()
plan = plan_of(corner_of_5_mm_s(), 'G1 X20 F3600', 'G1 Y20', 'G1 X0', 'G1 Y0');
pass = is_time(plan, 1.755833);
end

function pass = speed_of_junction_deviation()
plan = plan_of({}, 'M205 J0.013', 'G1 X50 F6000', 'G1 Y50');
pass = abs(plan.exit_v(1) - 3.9612) < 2e-4;
end

function pass = speed_of_classic_jerk()
% By the stock rule an axis that reverses jumps by its speed, by Marlin 2.1.3's by twice as much.
corner = plan_of({}, 'M205 X8 Y8', 'G1 X50 F6000', 'G1 Y50');
back = {'M205 X8 Y8', 'G1 X50 F6000', 'G1 X0'};
stock = plan_of({}, back{:});
newer = jaxcorr.plan_moves(jaxcorr.parse_gcode(strjoin(back, sprintf('\n')), 'p', 'marlin2.1'));
pass = abs(corner.exit_v(1) - 8) < 1e-9 && abs(stock.exit_v(1) - 8) < 1e-9 ...
    && abs(newer.exit_v(1) - 4) < 1e-9 && is_time(stock, 1.36928) ...
    && abs(newer.total_s - 1.3843) < 1e-4;
end

function pass = klippers_limits()
slow = plan_of({}, 'SET_VELOCITY_LIMIT ACCEL=100 MINIMUM_CRUISE_RATIO=0', 'G1 X100 F6000');
smooth = plan_of({}, 'SET_VELOCITY_LIMIT ACCEL=100', 'G1 X100 F6000');
corner = plan_of({}, 'SET_VELOCITY_LIMIT SQUARE_CORNER_VELOCITY=7', 'G1 X50 F6000', 'G1 Y50');
capped = plan_of({}, 'SET_VELOCITY_LIMIT VELOCITY=50', 'G1 X30 Y40 F6000');
pass = is_time(slow, 2) && abs(smooth.peak_v - sqrt(5000)) < 1e-9 ...
    && abs(corner.exit_v(1) - 7) < 1e-9 && abs(capped.peak_v - 50) < 1e-9;
end

function pass = dwell_at_the_end()
plan = plan_of({}, 'G1 X100 F6000', 'G4 S5');
samples = jaxcorr.sample_plan(plan, [1.2; 3; 6.2]);
pass = is_time(plan, 6.2) && all(samples.velocity_mm_s(:) == 0) ...
    && all(samples.accel_mm_s2(:) == 0) && all(abs(samples.position_mm(:, 1) - 100) < 1e-9);
end

function pass = straight_on_is_not_slowed()
plan = plan_of({'junction_deviation_mm', 0.013}, 'G1 X50 F6000', 'G1 X100');
pass = is_time(plan, 1.2) && abs(plan.exit_v(1) - 100) < 1e-9;
end

function pass = reversal_is_slowest()
plan = plan_of({'junction_deviation_mm', 0.013}, 'G1 X50 F6000', 'G1 X0');
pass = abs(plan.exit_v(1) - 0.05) < 1e-12;
end

function pass = look_ahead_over_short_moves()
% A hundred moves of 1 mm in a row are one of 100 mm.
lines = arrayfun(@(x) sprintf('G1 X%d F6000', x), 1:100, 'UniformOutput', false);
plan = plan_of({}, lines{:});
pass = is_time(plan, 1.2) && abs(max(plan.peak_v) - 100) < 1e-9;
end

function pass = limits_of_axes()
% Z at 5 mm/s and 100 mm/s2 bound a climb; the E limit of 25 mm/s binds an XY move.
climb = plan_of({}, 'G1 Z10 F6000');
thick = plan_of({}, 'G1 X10 E20 F6000');
pass = is_time(climb, 2.05) && abs(thick.peak_v - 12.5) < 1e-9;
end

function pass = retraction_is_a_stop()
plan = plan_of({'junction_deviation_mm', 0.013}, 'M83', 'G1 X50 F6000', 'G1 E-3 F1500', 'G1 X100');
pass = plan.exit_v(1) == 0 && plan.entry_v(3) == 0 && plan.length_mm(2) == 3 ...
    && all(plan.direction(2, :) == 0);
end

function pass = dwell_is_a_stop()
plan = plan_of({}, 'G1 X100 F6000', 'G4 S2', 'G1 X200');
pass = is_time(plan, 4.4) && plan.exit_v(1) == 0;
end

function pass = options_replace_settings()
fast = plan_of({'accel_mm_s2', 2000, 'velocity_mm_s', 200}, 'G1 X100 F6000');
square_corner = plan_of({'square_corner_velocity_mm_s', 7}, 'G1 X50 F6000', 'G1 Y50');
jerk = plan_of({'classic_jerk_mm_s', 3}, 'M205 J0.1', 'G1 X50 F6000', 'G1 Y50');
pass = is_time(fast, 0.6) && abs(square_corner.exit_v(1) - 7) < 1e-9 ...
    && abs(jerk.exit_v(1) - 3) < 1e-9;
end

function [plan, time_s, samples] = sampled_corner()
plan = plan_of({}, 'G1 X30 Y10 F6000', 'G1 X35 Y40', 'G1 E-2 F1500', 'G1 X0 Y0 F3000');
time_s = (0:1e-4:plan.total_s + 0.01)';
samples = jaxcorr.sample_plan(plan, time_s);
end

function pass = samples_follow_the_path()
[plan, ~, samples] = sampled_corner();
way = samples.position_mm - plan.start_mm(samples.move, :);
off = way - sum(way .* plan.direction(samples.move, :), 2) .* plan.direction(samples.move, :);
pass = max(abs(off(:))) < 1e-12 && max(abs(samples.position_mm(end, :))) < 1e-9;
end

function pass = velocity_is_slope()
% Away from the corners, where the speed steps by up to 8 mm/s.
[~, time_s, samples] = sampled_corner();
slope = diff(samples.position_mm) ./ diff(time_s);
mean_v = (samples.velocity_mm_s(1:end - 1, :) + samples.velocity_mm_s(2:end, :)) / 2;
is_inside = samples.move(1:end - 1) == samples.move(2:end);
wrong = abs(slope - mean_v);
pass = max(max(wrong(is_inside, :))) < 500 * 1e-4;
end

function pass = rest_at_both_ends()
[plan, time_s, samples] = sampled_corner();
is_over = time_s >= plan.total_s;
pass = all(samples.velocity_mm_s(1, :) == 0) && all(all(samples.velocity_mm_s(is_over, :) == 0)) ...
    && all(all(samples.accel_mm_s2(is_over, :) == 0)) && nnz(is_over) > 50;
end

function pass = velocity_steps_add_up()
% The steps and the integral of the acceleration are the whole velocity.
[plan, time_s, samples] = sampled_corner();
[step_v, step_r] = jaxcorr.sample_velocity_steps(plan, time_s);
smooth_v = cumtrapz(time_s, samples.accel_mm_s2);
is_moving = time_s < plan.total_s - 1e-3;
wrong_v = samples.velocity_mm_s - step_v - smooth_v;
wrong_r = step_r - cumtrapz(time_s, step_v);
pass = max(max(abs(wrong_v(is_moving, :)))) < 0.5 && max(max(abs(wrong_r(is_moving, :)))) < 5e-3 ...
    && max(abs(step_v(:))) > 7;
end

function pass = last_at_counts_equal_edges()
pass = isequal(jaxcorr.last_at([1; 2; 2; 5], [0; 1; 2; 4.9; 5; 9]), [0; 1; 3; 3; 4; 4]);
end

function pass = refusals()
pass = is_refused(@() jaxcorr.plan_options('accel_mm_s2', -1), 'jaxcorr:planner:badOption', ...
    'expected accel_mm_s2 > 0, got -1') ...
    && is_refused(@() jaxcorr.plan_options('acceleration', 1), 'jaxcorr:planner:unknownOption', ...
    '''acceleration''') ...
    && is_refused(@() jaxcorr.plan_options('junction_deviation_mm', 1, 'classic_jerk_mm_s', 8), ...
    'jaxcorr:planner:badOption', 'one cornering scheme') ...
    && is_refused(@() jaxcorr.plan_layer(jaxcorr.parse_gcode('G1 X1', 'p'), 2), ...
    'jaxcorr:planner:noLayer', 'expected a layer from 1 to 1');
end
