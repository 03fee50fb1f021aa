function [kinds, values] = read_comments(comments)
%READ_COMMENTS   What slicers say in comments on lines of their own.
%   [KINDS, VALUES] = READ_COMMENTS(COMMENTS) takes a cell array of comments, each from ';' on, and
%   returns cell arrays of the same size. A kind is 'change', 'layer' or 'z' (a layer starts),
%   'feature' (the value is the label), 'slicer' (the value is its name), or '' for nothing of
%   interest.
%
%   See also READ_INLINE_COMMENT, ASSIGN_LAYERS.

patterns = { ...
    'change', '^;[ \t]{0,9}(LAYER_CHANGE|CHANGE_LAYER)(?![A-Za-z0-9_])'
    'layer', '^;[ \t]{0,9}LAYER:[ \t]{0,9}(-?[0-9]{1,9})(?![A-Za-z0-9_])'
    'z', '^;[ \t]{0,9}Z(?:_HEIGHT)?:[ \t]{0,9}([0-9.]{1,20})'
    'feature', '^;[ \t]{0,9}(?:TYPE|FEATURE):(.{1,80})'
    'slicer', '^;[ \t]{0,9}(BambuStudio)(?![A-Za-z0-9_])'
    'slicer', '^;[ \t]{0,9}[Gg]enerated (?:by|with) (.{1,80})'};
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
names = {'PrusaSlicer', 'SuperSlicer', 'OrcaSlicer', 'BambuStudio', 'Creality', 'Cura', 'Slic3r'};
for k = 1:numel(names)
    if ~isempty(strfind(lower(generator), lower(names{k}))) %#ok<STREMP> Octave 7 has no contains
        name = strrep(names{k}, 'Creality', 'Creality Print');
        return
    end
end
name = strtok([generator ' unknown']);
end
