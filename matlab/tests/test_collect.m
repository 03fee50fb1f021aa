function [pass, names] = test_collect()
%TEST_COLLECT   Tests of names, layers, sweeps and files of a collection.
%   PASS = TEST_COLLECT() returns a logical vector, true where a check passed.
%   [PASS, NAMES] = TEST_COLLECT() also returns the names of the checks.
%
%   See also RUN_TESTS, COLLECT_DATA.

[pass, names] = run_checks({@layers_of_a_selection, @bad_selections, @names_of_folders, ...
    @own_part_takes_precedence, @part_by_path, @checksum_of_zlib, @sweep_is_a_grid, ...
    @finished_layers_are_skipped, @other_options_are_refused, @nothing_half_written});
end

function pass = layers_of_a_selection()
pass = isequal(jaxcorr.select_layers('sampled:5', 12), [1 6 11]) ...
    && isequal(jaxcorr.select_layers('all', 3), 1:3) ...
    && isequal(jaxcorr.select_layers(3, 12), 3) ...
    && isequal(jaxcorr.select_layers([7 3 7], 12), [3 7]) ...
    && isequal(jaxcorr.select_layers('3, 7,12', 12), [3 7 12]);
end

function pass = bad_selections()
refused = @(selection, id, part) is_refused( ...
    @() jaxcorr.select_layers(selection, 12), ['jaxcorr:collect:' id], part);
pass = refused('sampled:0', 'badLayers', '''sampled:0''') ...
    && refused('some', 'badLayers', 'some') ...
    && refused(1.5, 'badLayers', '1.5') && refused(13, 'noLayer', 'from 1 to 12, got 13') ...
    && refused(0, 'noLayer', 'got 0');
end

function pass = names_of_folders()
pass = strcmp(jaxcorr.folder_name('boat', 'sampled:5'), 'data_simulation_boat_sampled5') ...
    && strcmp(jaxcorr.folder_name('boat', 'all'), 'data_simulation_boat_all') ...
    && strcmp(jaxcorr.folder_name('boat', 3), 'data_simulation_boat_layer3') ...
    && strcmp(jaxcorr.folder_name('boat', [3 7]), 'data_simulation_boat_layers3_7');
end

function pass = own_part_takes_precedence()
[folder, cleanup] = temporary_folder(); %#ok<ASGLU>
[bundled, part] = jaxcorr.find_part('3dbenchy', folder);
write_text(fullfile(folder, '3dbenchy.gcode'), 'G1 X1');
[own, ~, note] = jaxcorr.find_part('3dbenchy', folder);
pass = strcmp(bundled, fullfile(folder, 'tugboat.gcode.gz')) && strcmp(part, '3dbenchy') ...
    && strcmp(own, fullfile(folder, '3dbenchy.gcode')) ...
    && ~isempty(regexp(note, 'your own', 'once')) ...
    && is_refused(@() jaxcorr.find_part('teapot', folder), 'jaxcorr:collect:unknownPart', 'teapot');
end

function pass = part_by_path()
[folder, cleanup] = temporary_folder(); %#ok<ASGLU>
path = fullfile(folder, 'my part (2).gcode');
write_text(path, 'G1 X1');
[found, part] = jaxcorr.find_part(path);
pass = strcmp(found, path) && strcmp(part, 'my_part_2_');
end

function pass = checksum_of_zlib()
% Adler-32 of 'Wikipedia' is 11E60398, as published.
[folder, cleanup] = temporary_folder(); %#ok<ASGLU>
path = fullfile(folder, 'text');
write_text(path, 'Wikipedia');
pass = jaxcorr.file_checksum(path) == hex2dec('11E60398');
end

function pass = sweep_is_a_grid()
[files, ~, cleanup] = collected('sweep_accel_mm_s2', [500 1000], ... %#ok<ASGLU>
    'sweep_velocity_mm_s', [50 100]);
[~, stems] = cellfun(@fileparts, files, 'UniformOutput', false);
[fields, params] = jaxcorr.read_trace(files{end});
pass = isequal(stems', {'layer01_a500_v50_ender3v2', 'layer01_a500_v100_ender3v2', ...
    'layer01_a1000_v50_ender3v2', 'layer01_a1000_v100_ender3v2'}) ...
    && params.plan.accel_mm_s2 == 1000 && params.plan.velocity_mm_s == 100 ...
    && abs(max(fields.a_mag_ref) - 1000) < 1e-9 && max(fields.v_mag_ref) > 60;
end

function pass = finished_layers_are_skipped()
[files, again, cleanup] = collected(); %#ok<ASGLU>
written = dir(files{1});
said = again();
later = dir(files{1});
pass = isequal(written.datenum, later.datenum) && numel(files) == 1 ...
    && ~isempty(regexp(said, '1 of 1 traces are there already', 'once'));
end

function pass = other_options_are_refused()
[~, again, cleanup] = collected(); %#ok<ASGLU>
pass = is_refused(@() again('seed', 7), 'jaxcorr:collect:otherOptions', 'got another seed');
end

function pass = nothing_half_written()
[files, ~, cleanup] = collected(); %#ok<ASGLU>
there = dir(fileparts(files{1}));
fields = jaxcorr.read_trace(files{1});
pass = isequal({there(~[there.isdir]).name}, {'layer01_ender3v2.mat'}) ...
    && islogical(fields.is_extruding) && iscolumn(fields.time) && fields.time(2) == 0.01;
end

function [files, again, cleanup] = collected(varargin)
% Collects a small part; again() does the same once more and returns what is printed.
[folder, cleanup] = temporary_folder();
path = fullfile(folder, 'tiny.gcode');
write_text(path, sprintf('M83\nG1 X30 Y10 E1 F6000\nG1 X5 Y8 E1\n'));
again = @(varargin) printed_by(@() collect_data(path, 1, 'output', folder, varargin{:}));
[~, files] = again(varargin{:});
end

function [said, files] = printed_by(fn) %#ok<INUSD> evalc takes it
files = {};
said = evalc('files = fn();');
end

function [folder, cleanup] = temporary_folder()
folder = tempname();
mkdir(folder);
cleanup = onCleanup(@() remove_folder(folder));
end

function remove_folder(folder)
for inner = reshape(dir(fullfile(folder, 'data_simulation_*')), 1, [])
    delete(fullfile(folder, inner.name, '*'));
    rmdir(fullfile(folder, inner.name));
end
if numel(dir(folder)) > 2
    delete(fullfile(folder, '*'));
end
rmdir(folder);
end

function write_text(path, text)
file = fopen(path, 'w');
fprintf(file, '%s', text);
fclose(file);
end
