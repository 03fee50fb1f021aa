function program = read_gcode(path)
%READ_GCODE   Parses a file of G-code, plain or compressed by gzip.
%   PROGRAM = READ_GCODE(PATH) returns what PARSE_GCODE makes of its text.
%
%   See also PARSE_GCODE, FIND_PART.

if exist(path, 'file') ~= 2
    error('jaxcorr:gcode:noFile', ...
        '%s: expected a readable .gcode or .gcode.gz file, got none. Check the path.', path);
end
[~, stem, extension] = fileparts(path);
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
