function fields = trace_fields(plan, samples, time_s, errors, layer, command)
%TRACE_FIELDS   Every column of a trace.
%   FIELDS = TRACE_FIELDS(PLAN, SAMPLES, TIME_S, ERRORS, LAYER) takes a plan of PLAN_MOVES, SAMPLES
%   of SAMPLE_PLAN at the instants TIME_S, and the error of each source in mm: samples by axes (x,
%   y) by sources as SOURCE_NAMES has them. FIELDS is a struct of N-by-1 columns in s, mm, mm/s,
%   mm/s2, mm/s3 and rad; error = actual - reference.
%
%   FIELDS = TRACE_FIELDS(PLAN, SAMPLES, TIME_S, ERRORS, LAYER, COMMAND) has x_cmd, y_cmd, vx_cmd and
%   vy_cmd besides. COMMAND holds position_mm and velocity_mm_s, N-by-2; ERRORS are then of actual -
%   command.
%
%   See also SIMULATE_LAYER, WRITE_TRACE.

rate_hz = 1 / (time_s(2) - time_s(1));
error_mm = sum(errors, 3);
r = samples.position_mm;
if nargin > 5
    error_mm = error_mm + command.position_mm - r(:, 1:2);
end
a = samples.accel_mm_s2;
jerk = [0 0 0; diff(a, 1, 1) * rate_hz];

fields = struct('time', time_s);
fields = add_axes(fields, '%s_ref', r);
fields.x_act = r(:, 1) + error_mm(:, 1);
fields.y_act = r(:, 2) + error_mm(:, 2);
fields.z_act = r(:, 3);
fields = add_axes(fields, 'v%s_ref', samples.velocity_mm_s);
fields.v_mag_ref = magnitude(samples.velocity_mm_s);
fields = add_axes(fields, 'a%s_ref', a);
fields.a_mag_ref = magnitude(a);
fields = add_axes(fields, 'j%s_ref', jerk);
fields.jerk_mag = magnitude(jerk);
fields = add_axes(fields, 'error_%s', error_mm);
fields.error_magnitude = hypot(error_mm(:, 1), error_mm(:, 2));
fields.error_direction = atan2(error_mm(:, 2), error_mm(:, 1));
has_path = any(plan.direction(samples.move, :) ~= 0, 2);
is_pushing = plan.extrude_mm(samples.move) > 0;
fields.is_extruding = has_path & is_pushing;
fields.is_travel = has_path & ~is_pushing;
fields.layer_num = repmat(layer, size(time_s));
% Counted from 0, as in the built-in twin: 0 is travel.
fields.feature_code = plan.feature(samples.move) - 1;
names = jaxcorr.source_names();
for k = 1:numel(names)
    fields = add_axes(fields, [names{k} '_%s'], errors(:, :, k));
end
if nargin > 5
    fields = add_axes(fields, '%s_cmd', command.position_mm);
    fields = add_axes(fields, 'v%s_cmd', command.velocity_mm_s);
end
end

function fields = add_axes(fields, pattern, values)
letters = 'xyz';
for axis = 1:size(values, 2)
    fields.(sprintf(pattern, letters(axis))) = values(:, axis);
end
end

function m = magnitude(vectors)
m = sqrt(sum(vectors.^2, 2));
end
