function samples = sample_plan(plan, time_s)
%SAMPLE_PLAN   The reference at any instants, each in closed form, so that nothing drifts.
%   SAMPLES = SAMPLE_PLAN(PLAN, TIME_S) takes a plan of PLAN_MOVES and T instants, a column, from
%   the start of the plan; past its end the head rests. SAMPLES has position_mm, velocity_mm_s and
%   accel_mm_s2, T-by-3, and move, the index of the move under way, T-by-1.
%
%   An instant within 1 ns before a boundary, of moves or of their phases, belongs to what comes
%   next.
%
%   See also PLAN_MOVES, SAMPLE_VELOCITY_STEPS.

boundary_s = 1e-9;
move = max(jaxcorr.last_at(plan.start_s, time_s + boundary_s), 1);
a = plan.accel_mm_s2(move);
entry_v = plan.entry_v(move);
peak_v = plan.peak_v(move);
exit_v = plan.exit_v(move);
accel_s = plan.accel_s(move);
cruise_s = plan.cruise_s(move);
since = time_s - plan.start_s(move) - plan.dwell_s(move);

is_resting = since < -boundary_s | time_s + boundary_s >= plan.motion_s;
is_slowing = since + boundary_s >= accel_s + cruise_s;
is_cruising = since + boundary_s >= accel_s & ~is_slowing;
t = max(since, 0);
% The way that is left, so that a move ends on its end.
left = max(accel_s + cruise_s + plan.decel_s(move) - t, 0);

distance = entry_v .* t + a .* t.^2 / 2;
speed = entry_v + a .* t;
cruised = (peak_v + entry_v) / 2 .* accel_s + peak_v .* (t - accel_s);
slowed = plan.length_mm(move) - (exit_v .* left + a .* left.^2 / 2);
slow_speed = exit_v + a .* left;
distance(is_cruising) = cruised(is_cruising);
distance(is_slowing) = slowed(is_slowing);
speed(is_cruising) = peak_v(is_cruising);
speed(is_slowing) = slow_speed(is_slowing);
a(is_cruising) = 0;
a(is_slowing) = -a(is_slowing);
speed(is_resting) = 0;
a(is_resting) = 0;

u = plan.direction(move, :);
samples = struct('position_mm', plan.start_mm(move, :) + distance .* u, ...
    'velocity_mm_s', speed .* u, 'accel_mm_s2', a .* u, 'move', move);
end
