function program = read_gcode(path)
%READ_GCODE   Parses a file of G-code, plain or compressed by gzip.
%   PROGRAM = READ_GCODE(PATH) returns what PARSE_GCODE makes of its text. Other containers, such as
%   .bgcode and .gcode.3mf, are for the built-in simulator, and refused here.
%
%   See also PARSE_GCODE, FIND_PART.

if exist(path, 'file') ~= 2
    error('jaxcorr:gcode:noFile', ...
        '%s: expected a readable .gcode or .gcode.gz file, got none. Check the path.', path);
end
[~, stem, extension] = fileparts(path);
if any(strcmpi(extension, {'.bgcode', '.3mf'}))
    error('jaxcorr:gcode:noFile', ...
        ['%s: expected a .gcode or .gcode.gz file, got another container. ' ...
        'Export plain G-code, or use the built-in simulator.'], path);
end
if strcmpi(extension, '.gz')
    folder = tempname();
    mkdir(folder);
    cleanup = onCleanup(@() remove_folder(folder));
    unpacked = gunzip(path, folder);
    text = fileread(unpacked{1});
else
    text = fileread(path);
end
program = jaxcorr.parse_gcode(text, [stem extension]);
end

function remove_folder(folder)
delete(fullfile(folder, '*'));
rmdir(folder);
end
