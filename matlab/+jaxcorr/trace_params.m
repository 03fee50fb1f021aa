function params = trace_params(layer, options, part, plan_options, program, probe_um)
%TRACE_PARAMS   How a trace is made.
%   PARAMS = TRACE_PARAMS(LAYER, OPTIONS, PART, PLAN_OPTIONS, PROGRAM, PROBE_UM) returns a nested
%   struct of numbers and texts; NaN in plan stands for "as in the G-code".
%
%   See also SIMULATE_LAYER, WRITE_TRACE.

loaded = jaxcorr.load_bed(options, program, layer);
names = jaxcorr.source_names();
sources = cell2struct(num2cell(double(ismember(names, options.sources))), names, 2);
params = struct('simulator', 'jaxcorr matlab', 'sign', 'error = actual - reference', ...
    'part', part, 'slicer', program.slicer, 'firmware', program.firmware, ...
    'layer', layer, 'seed', options.seed, ...
    'sample_rate_hz', options.rate_hz, 'sources', sources, 'probe_um', probe_um, ...
    'microstep_um', options.microstep_um, 'jitter_cycles', options.jitter_cycles, ...
    'floor_um', options.floor_um, 'floor_hz', options.floor_hz, 'plan', plan_options, ...
    'plant', loaded.plant);
if options.knot_rate_hz ~= options.rate_hz
    params.knot_rate_hz = options.knot_rate_hz;
end
if ~isempty(options.bed_axis)
    for name = {'bed_axis', 'filament_diameter_mm', 'filament_density_g_cm3'}
        params.(name{1}) = options.(name{1});
    end
end
end
