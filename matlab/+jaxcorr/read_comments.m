function [kinds, values] = read_comments(comments)
%READ_COMMENTS   What slicers say in comments on lines of their own.
%   [KINDS, VALUES] = READ_COMMENTS(COMMENTS) takes a cell array of comments, each from ';' on, and
%   returns cell arrays of the same size. A kind is 'change', 'layer', 'numbered', 'begin' or 'z' (a
%   layer starts), 'feature' (the value is the label), 'slicer' (its name), 'flavor' (of the
%   firmware), 'height' (of a layer), or '' for nothing of interest.
%
%   See also READ_INLINE_COMMENT, ASSIGN_LAYERS.

is_set = '[ \t]{0,9}[=:,][ \t]{0,9}';
patterns = { ...
    'height', ['^;[ \t]{0,9}(?:layer_height|Layer [Hh]eight|layerHeight|layer_thickness_mm)' ...
        is_set '([0-9.]{1,20})']
    'flavor', ['^;[ \t]{0,9}(?:gcode_flavor|FLAVOR)' is_set '(.{1,80})']
    'slicer', ['^;[ \t]{0,9}Producer' is_set '(.{1,80})']
    'change', '^;[ \t]{0,9}(LAYER_CHANGE|CHANGE_LAYER)(?![A-Za-z0-9_])'
    'layer', '^;[ \t]{0,9}LAYER:[ \t]{0,9}(-?[0-9]{1,9})(?![A-Za-z0-9_])'
    'numbered', ['^;[ \t]{0,9}(?:;[ \t]{0,3}-{3}[ \t]{0,3})?[Ll]ayer[ \t]{1,3}#?([0-9]{1,9})' ...
        '(?=[ \t]{0,3}(?:$|[,/(]|of(?![A-Za-z0-9_])))']
    'begin', '^;[ \t]{0,9}BEGIN_LAYER_[A-Z_]{3,40}[ \t]{1,3}z=([0-9.]{1,20})'
    'z', '^;[ \t]{0,9}(?:Z(?:_HEIGHT)?)?:[ \t]{0,9}([0-9.]{1,20})'
    'feature', '^;[ \t]{0,9}(?:TYPE:|FEATURE:|feature )(.{1,80})'
    'feature', '^;[ \t]{0,9}''([A-Z][A-Za-z ()]{2,40} Path)'''
    'feature', ['^;[ \t]{0,9}((?:(?:outer|inner) perimeter|solid layer|infill|skirt|bridge|' ...
        'gap fill|prime pillar|(?:dense )?support|raft))[ \t]{0,9}$']
    'slicer', '^;[ \t]{0,9}(BambuStudio|KISSlicer|Creality Print)(?![A-Za-z0-9_])'
    'slicer', '^;[ \t]{0,9}(?:[Gg]|G-Code g)enerated (?:by|with) (.{1,80})'
    'slicer', '^;[ \t]{0,9}Sliced by (.{1,80})'};
kinds = repmat({''}, size(comments));
values = kinds;
for k = 1:size(patterns, 1)
    found = regexp(comments, patterns{k, 2}, 'tokens', 'once');
    is_found = ~cellfun('isempty', found);
    kinds(is_found) = patterns(k, 1);
    values(is_found) = cellfun(@(token) strtrim(token{1}), found(is_found), ...
        'UniformOutput', false);
end
is_slicer = strcmp(kinds, 'slicer');
values(is_slicer) = cellfun(@slicer_name, values(is_slicer), 'UniformOutput', false);
end

function name = slicer_name(generator)
% The slicer's usual name; the first word of the text for one that is not known.
names = {'PrusaSlicer', 'SuperSlicer', 'OrcaSlicer', 'BambuStudio', 'Creality', 'Cura', ...
    'Slic3r', 'Simplify3D', 'ideaMaker', 'KISSlicer'};
for k = 1:numel(names)
    if ~isempty(strfind(lower(generator), lower(names{k}))) %#ok<STREMP> Octave 7 has no contains
        name = strrep(names{k}, 'Creality', 'Creality Print');
        return
    end
end
name = strtok([generator ' unknown']);
end
