function name = trace_file_name(layer, plan_options, options, probe_um)
%TRACE_FILE_NAME   Name of the file for a trace.
%   NAME = TRACE_FILE_NAME(LAYER, PLAN_OPTIONS, OPTIONS, PROBE_UM) is layer07_ender3v2.mat; in a
%   sweep of SIMULATE_OPTIONS and with a probe it is layer07_a300_v100_p50_ender3v2.mat.
%
%   See also FOLDER_NAME.

point = '';
if ~isempty(options.sweep_accel_mm_s2)
    point = sprintf('_a%g', plan_options.accel_mm_s2);
end
if ~isempty(options.sweep_velocity_mm_s)
    point = sprintf('%s_v%g', point, plan_options.velocity_mm_s);
end
if probe_um > 0
    point = sprintf('%s_p%g', point, probe_um);
end
name = sprintf('layer%02d%s_ender3v2.mat', layer, point);
end
