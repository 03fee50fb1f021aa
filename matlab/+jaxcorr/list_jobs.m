function jobs = list_jobs(layers, options, part, program, source, folder)
%LIST_JOBS   All traces of a collection: layers by points of the sweep, each plain and per probe.
%   JOBS = LIST_JOBS(LAYERS, OPTIONS, PART, PROGRAM, SOURCE, FOLDER) returns a struct array with the
%   fields layer, plan (PLAN_OPTIONS), probe_um, params (of the trace, SOURCE's fields among them)
%   and file.
%
%   See also COLLECT_DATA, RUN_JOBS.

points = jaxcorr.sweep_points(options);
jobs = struct('layer', {}, 'plan', {}, 'probe_um', {}, 'params', {}, 'file', {});
for layer = layers
    for k = 1:numel(points)
        for probe_um = [0, options.probe_um(:)']
            params = jaxcorr.trace_params(layer, options, part, points(k), program, probe_um);
            for name = fieldnames(source)'
                params.(name{1}) = source.(name{1});
            end
            name = jaxcorr.trace_file_name(layer, points(k), options, probe_um);
            jobs(end + 1, 1) = struct('layer', layer, 'plan', points(k), 'probe_um', probe_um, ...
                'params', params, 'file', fullfile(folder, name)); %#ok<AGROW> few
        end
    end
end
end
