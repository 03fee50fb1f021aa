function files = collect_data(gcode_file, layers, varargin)
%COLLECT_DATA   Simulates layers of a G-code file into .mat traces.
%   COLLECT_DATA(GCODE_FILE) simulates every fifth layer, with every option at its default, into the
%   folder data_simulation_<part>_sampled5 under the current one. GCODE_FILE is a .gcode or
%   .gcode.gz file, or the name of a bundled part: '3dbenchy', 'bearing5', 'nautilus', 'boat'.
%
%   COLLECT_DATA(GCODE_FILE, LAYERS) takes 'sampled:N' (layers 1, 1 + N, ...), 'all', a number or a
%   vector of numbers from 1.
%
%   COLLECT_DATA(GCODE_FILE, LAYERS, NAME, VALUE, ...) and COLLECT_DATA(GCODE_FILE, LAYERS, STRUCT)
%   change options; 'help jaxcorr.simulate_options' lists them. Among them: mass_kg, stiffness_n_m,
%   damping_ns_m, friction_n ([x y]), damping ('relative' or 'ground'), off (sources to switch off),
%   microstep_um, jitter_cycles, floor_um, sweep_accel_mm_s2 and sweep_velocity_mm_s (vectors: each
%   layer once per pair), probe_um (vector: each once more per value, its command changed at random),
%   seed, rate_hz and output (the folder that the traces' folder goes into).
%
%   FILES = COLLECT_DATA(...) returns the paths of all traces, those that were there before among
%   them: a finished layer is not made again, so that an interrupted run goes on where it stopped.
%   Layers run in parallel where there is a parallel pool.
%
%   Examples:
%     collect_data('3dbenchy', 'sampled:10', 'off', {'jitter', 'floor'})
%     collect_data('part.gcode', [3 7 12], 'seed', 1, 'output', 'traces')
%     collect_data('boat', 'all', 'sweep_accel_mm_s2', 200:100:500, ...
%         'sweep_velocity_mm_s', 100:100:400)
%
%   See also COLLECT_ALL, COLLECT_3DBENCHY, TEST_FIRMWARE_EFFECTS_SIMPLE.

if nargin < 2
    layers = 'sampled:5';
end
options = jaxcorr.simulate_options(varargin{:});
[path, part, note] = jaxcorr.find_part(gcode_file);
folder = fullfile(options.output, jaxcorr.folder_name(part, layers));
fprintf('%s\n', note);
program = jaxcorr.read_gcode(path);
numbers = jaxcorr.select_layers(layers, numel(program.layer_z_mm));
if exist(folder, 'dir') ~= 7
    mkdir(folder);
end
fprintf('writing to %s\n', folder);
if ~isempty(program.unknown_commands)
    fprintf('not executed, may have moved the machine: %s\n', ...
        strjoin(unique(program.unknown_commands(:))', ', '));
end

[~, stem, extension] = fileparts(path);
source = struct('gcode', [stem extension], 'gcode_checksum', jaxcorr.file_checksum(path));
jobs = jaxcorr.list_jobs(numbers, options, part, program, source, folder);
files = {jobs.file}';
is_done = cellfun(@(file) exist(file, 'file') == 2, files);
for job = reshape(jobs(is_done), 1, [])
    jaxcorr.check_finished(job.file, job.params);
end
if any(is_done)
    fprintf('%d of %d traces are there already\n', nnz(is_done), numel(jobs));
end
jaxcorr.run_jobs(program, jobs(~is_done), options, part);
if nargout == 0
    clear files
end
end
