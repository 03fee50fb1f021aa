function [names, labels, codes] = features()
%FEATURES   Kinds of printed line, one vocabulary for all slicers.
%   NAMES = FEATURES() returns a cell array; a feature's code is its index. 'travel' is motion
%   without extrusion, 'retraction' extrusion without motion, 'unknown' extrusion under no label.
%
%   [NAMES, LABELS, CODES] = FEATURES() also returns what slicers call them, in lower case, and the
%   code of each label: PrusaSlicer's, SuperSlicer's and Slic3r's first, then those of OrcaSlicer,
%   Bambu Studio and Creality Print, then Cura's.
%
%   See also READ_COMMENTS.

names = {'travel', 'retraction', 'unknown', 'custom', 'outer_wall', 'inner_wall', ...
    'overhang_wall', 'infill', 'solid_infill', 'top_surface', 'bottom_surface', 'bridge', ...
    'gap_fill', 'ironing', 'skirt', 'brim', 'support', 'support_interface', 'prime_tower'};
spelled = { ...
    'custom', {'custom'}
    'outer_wall', {'external perimeter', 'thin wall', 'outer wall', 'wall-outer'}
    'inner_wall', {'perimeter', 'internal perimeter', 'inner wall', 'wall-inner'}
    'overhang_wall', {'overhang perimeter', 'overhang wall'}
    'infill', {'internal infill', 'infill', 'sparse infill', 'fill'}
    'solid_infill', {'solid infill', 'internal solid infill', 'floating vertical shell', 'skin'}
    'top_surface', {'top solid infill', 'top surface'}
    'bottom_surface', {'bottom surface'}
    'bridge', {'bridge infill', 'internal bridge infill', 'bridge', 'internal bridge'}
    'gap_fill', {'gap fill', 'gap infill'}
    'ironing', {'ironing'}
    'skirt', {'skirt/brim', 'skirt'}
    'brim', {'brim'}
    'support', {'support material', 'support', 'support transition'}
    'support_interface', {'support material interface', 'support interface', 'support-interface'}
    'prime_tower', {'wipe tower', 'prime tower', 'prime-tower'}};
labels = [spelled{:, 2}];
[~, code] = ismember(spelled(:, 1), names);
count = cellfun(@numel, spelled(:, 2));
codes = repelem(code(:), count(:))';
end
