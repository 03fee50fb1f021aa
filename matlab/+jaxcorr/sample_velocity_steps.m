function [velocity_mm_s, position_mm] = sample_velocity_steps(plan, time_s)
%SAMPLE_VELOCITY_STEPS   The part of the motion that is velocity steps at junctions, nothing else.
%   [VELOCITY_MM_S, POSITION_MM] = SAMPLE_VELOCITY_STEPS(PLAN, TIME_S) returns the sum of all steps
%   so far and its exact time integral at T instants, T-by-3.
%
%   See also SAMPLE_PLAN, SIMULATE_LAYER.

entry = plan.entry_v .* plan.direction;
leave = plan.exit_v .* plan.direction;
velocity = cumsum(entry - [0 0 0; leave(1:end - 1, :)], 1);
way = velocity(1:end - 1, :) .* diff(plan.start_s, 1, 1);
position = [0 0 0; cumsum(way, 1)];
move = max(jaxcorr.last_at(plan.start_s, time_s + 1e-9), 1);
velocity_mm_s = velocity(move, :);
position_mm = position(move, :) + velocity_mm_s .* (time_s - plan.start_s(move));
end
