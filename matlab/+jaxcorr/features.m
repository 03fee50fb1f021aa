function [names, labels, codes] = features()
%FEATURES   Kinds of printed line, one vocabulary for all slicers.
%   NAMES = FEATURES() returns a cell array; a feature's code is its index. 'travel' is motion
%   without extrusion, 'retraction' extrusion without motion, 'unknown' extrusion under no label.
%
%   [NAMES, LABELS, CODES] = FEATURES() also returns what slicers call them, in lower case, and the
%   code of each label: PrusaSlicer's, SuperSlicer's and Slic3r's first, then those of OrcaSlicer,
%   Bambu Studio and Creality Print, Cura's, Simplify3D's, ideaMaker's and KISSlicer's.
%
%   See also READ_COMMENTS.

names = {'travel', 'retraction', 'unknown', 'custom', 'outer_wall', 'inner_wall', ...
    'overhang_wall', 'infill', 'solid_infill', 'top_surface', 'bottom_surface', 'bridge', ...
    'gap_fill', 'ironing', 'skirt', 'brim', 'support', 'support_interface', 'prime_tower'};
spelled = { ...
    'custom', {'custom'}
    'outer_wall', {'external perimeter', 'thin wall', 'outer wall', 'wall-outer', ...
        'outer perimeter', 'single extrusion', 'outer-shell', 'perimeter path'}
    'inner_wall', {'perimeter', 'internal perimeter', 'inner wall', 'wall-inner', ...
        'inner perimeter', 'inner-shell', 'loop path'}
    'overhang_wall', {'overhang perimeter', 'overhang wall'}
    'infill', {'internal infill', 'infill', 'sparse infill', 'fill', 'sparse infill path', ...
        'stacked sparse infill path'}
    'solid_infill', {'solid infill', 'internal solid infill', 'floating vertical shell', ...
        'skin', 'solid layer', 'solid-fill', 'solid path'}
    'top_surface', {'top solid infill', 'top surface', 'crown path'}
    'bottom_surface', {'bottom surface'}
    'bridge', {'bridge infill', 'internal bridge infill', 'bridge', 'internal bridge'}
    'gap_fill', {'gap fill', 'gap infill', 'gap-fill'}
    'ironing', {'ironing'}
    'skirt', {'skirt/brim', 'skirt', 'skirt path'}
    'brim', {'brim', 'raft', 'raft path'}
    'support', {'support material', 'support', 'support transition', 'support (may stack) path'}
    'support_interface', {'support material interface', 'support interface', ...
        'support-interface', 'dense support', 'support interface path'}
    'prime_tower', {'wipe tower', 'prime tower', 'prime-tower', 'prime pillar', ...
        'prime pillar path'}};
labels = [spelled{:, 2}];
[~, code] = ismember(spelled(:, 1), names);
count = cellfun(@numel, spelled(:, 2));
codes = repelem(code(:), count(:))';
end
