function [path, part, note] = find_part(name, folder)
%FIND_PART   Which G-code file a part's name means.
%   [PATH, PART, NOTE] = FIND_PART(NAME) takes the path of a .gcode or .gcode.gz file, or one of
%   3dbenchy, bearing5, nautilus, boat and standard_trajectory. PART is the name for folders and
%   params, NOTE says in a line which file is used. A file <name>.gcode of your own in the folder of
%   parts takes precedence over the bundled part of that name.
%
%   [...] = FIND_PART(NAME, FOLDER) looks for parts in FOLDER instead of jaxcorr/parts.
%
%   See also COLLECT_DATA, READ_GCODE.

if nargin < 2
    here = fileparts(mfilename('fullpath'));
    folder = fullfile(fileparts(fileparts(here)), 'jaxcorr', 'parts');
end
bundled = struct('name', {'3dbenchy', 'bearing5', 'nautilus', 'boat', 'standard_trajectory'}, ...
    'file', {'tugboat.gcode.gz', 'bearing5.gcode.gz', 'nautilus.gcode.gz', 'boat.gcode.gz', ...
    'standard_trajectory.gcode'});
chosen = bundled(strcmp(name, {bundled.name}));
if exist(name, 'file') == 2 && ~isempty(regexpi(name, '\.gcode(\.gz)?$', 'once'))
    path = name;
    [~, stem, extension] = fileparts(name);
    part = regexprep([stem extension], '\.gcode(\.gz)?$', '', 'ignorecase');
    part = regexprep(part, '[^A-Za-z0-9-]+', '_');
    note = sprintf('%s: your own file', name);
    return
elseif isempty(chosen)
    error('jaxcorr:collect:unknownPart', ...
        'part: expected a G-code file or one of %s, got %s. Check the name.', ...
        strjoin(sort({bundled.name}), ', '), jaxcorr.quote(name));
end
part = name;
for own = {[name '.gcode'], [name '.gcode.gz']}
    path = fullfile(folder, own{1});
    if ~strcmp(own{1}, chosen.file) && exist(path, 'file') == 2
        note = sprintf('%s: your own %s in the folder of parts', name, own{1});
        return
    end
end
path = fullfile(folder, chosen.file);
note = sprintf('%s: the bundled part %s', name, chosen.file);
end
