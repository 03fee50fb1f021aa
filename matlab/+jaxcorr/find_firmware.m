function firmware = find_firmware(flavors, commands)
%FIND_FIRMWARE   Which firmware a file is for.
%   FIRMWARE = FIND_FIRMWARE(FLAVORS, COMMANDS) takes what slicers' comments say about it and the
%   commands of the file that are not Marlin's, both cell arrays in the order of the file, and
%   returns a name as FIRMWARE_LIMITS takes it. Klipper's own commands count for more than the
%   flavour Marlin: slicers had no other one for Klipper for years.
%
%   See also FIRMWARE_LIMITS, EXECUTE_LINE.

firmware = 'marlin2.0';
flavor = [flavors(:); {''}];
flavor = strtrim(flavor{1});
is_start = @(start) strncmpi(flavor, start, numel(start));
only_klipper = ['^(SET_[A-Z]|EXCLUDE_OBJECT|BED_MESH_|(START|END)_PRINT$|PRINT_(START|END)$|' ...
    '(SAVE|RESTORE)_GCODE_STATE$|QUAD_GANTRY_LEVEL$|Z_TILT_ADJUST$|TIMELAPSE_)'];
if is_start('klipper') || is_start('creality os')
    firmware = 'klipper';
elseif strcmp(flavor, 'RepRap') || is_start('reprapfirmware') || is_start('rrf') || is_start('duet')
    firmware = 'reprapfirmware';
elseif any(~cellfun('isempty', regexp(commands, only_klipper, 'once')))
    firmware = 'klipper';
elseif isempty(flavor) && any(ismember(commands, {'M98', 'M566', 'M568', 'M572'}))
    firmware = 'reprapfirmware';
end
end
