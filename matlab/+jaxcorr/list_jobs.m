function jobs = list_jobs(layers, options, part, slicer, source, folder)
%LIST_JOBS   All traces of a collection: layers by points of the sweep.
%   JOBS = LIST_JOBS(LAYERS, OPTIONS, PART, SLICER, SOURCE, FOLDER) returns a struct array with the
%   fields layer, plan (PLAN_OPTIONS), params (of the trace, SOURCE's fields among them) and file.
%
%   See also COLLECT_DATA, RUN_JOBS.

points = jaxcorr.sweep_points(options);
jobs = struct('layer', {}, 'plan', {}, 'params', {}, 'file', {});
for layer = layers
    for k = 1:numel(points)
        params = jaxcorr.trace_params(layer, options, part, points(k), slicer);
        for name = fieldnames(source)'
            params.(name{1}) = source.(name{1});
        end
        file = fullfile(folder, jaxcorr.trace_file_name(layer, points(k), options));
        jobs(end + 1, 1) = struct('layer', layer, 'plan', points(k), 'params', params, ...
            'file', file); %#ok<AGROW> few
    end
end
end
