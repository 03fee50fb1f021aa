function run_jobs(program, jobs, options, part)
%RUN_JOBS   Simulates jobs into their files, in parallel where there is a parallel pool.
%   RUN_JOBS(PROGRAM, JOBS, OPTIONS, PART) takes a program of PARSE_GCODE, jobs of LIST_JOBS that
%   are not done, SIMULATE_OPTIONS and the part's name. A line per finished file tells its size, the
%   RMS of its error and about how long the rest will take.
%
%   See also COLLECT_DATA, SIMULATE_LAYER.

began = now(); %#ok<TNOW1> Octave 7 has no datetime
parfor k = 1:numel(jobs)
    job = jobs(k);
    fields = jaxcorr.simulate_layer(program, job.layer, options, part, job.plan, ...
        job.probe_um);
    jaxcorr.write_trace(job.file, fields, job.params);
    report(job.file, fields, jobs, began);
end
end

function report(file, fields, jobs, began)
% Workers share nothing but the folder: what is done is what is there.
num_done = nnz(cellfun(@(path) exist(path, 'file') == 2, {jobs.file}));
left_s = 86400 * (now() - began) / num_done * (numel(jobs) - num_done); %#ok<TNOW1>
rms_um = jaxcorr.rms_by_source(fields);
[~, stem] = fileparts(file);
fprintf('  %s: %d samples, RMS %.1f um, %d of %d, %.0f s left\n', ...
    stem, numel(fields.time), rms_um(1), num_done, numel(jobs), left_s);
end
