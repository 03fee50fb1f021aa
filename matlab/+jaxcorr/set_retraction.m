function retraction = set_retraction(retraction, command, arguments, unit_mm)
%SET_RETRACTION   What G10 and G11 do after M207, M208 or Klipper's SET_RETRACTION.
%   RETRACTION = SET_RETRACTION(RETRACTION, COMMAND, ARGUMENTS, UNIT_MM) takes and returns a struct
%   with length_mm, speed_mm_s, lift_mm, extra_mm and recover_speed_mm_s. Values that cannot be are
%   left out.
%
%   See also INITIAL_STATE, EXECUTE_LINE.
%
%   Reference: Marlin, FWRETRACT; Klipper, firmware_retraction.

words = jaxcorr.parse_settings(arguments) * unit_mm;
s = words('S' - 'A' + 1);
speed = words('F' - 'A' + 1) / 60;
switch command
    case 'M207'
        given = {'length_mm', s; 'speed_mm_s', speed; 'lift_mm', words('Z' - 'A' + 1)};
    case 'M208'
        given = {'extra_mm', s; 'recover_speed_mm_s', speed};
    otherwise
        given = { ...
            'length_mm', jaxcorr.parse_keywords(arguments, 'RETRACT_LENGTH'); ...
            'speed_mm_s', jaxcorr.parse_keywords(arguments, 'RETRACT_SPEED'); ...
            'extra_mm', jaxcorr.parse_keywords(arguments, 'UNRETRACT_EXTRA_LENGTH'); ...
            'recover_speed_mm_s', jaxcorr.parse_keywords(arguments, 'UNRETRACT_SPEED')};
end
for k = 1:size(given, 1)
    [name, value] = given{k, :};
    is_speed = ~isempty(strfind(name, 'speed')); %#ok<STREMP> Octave 7 has no contains
    if value >= 0 && value <= 1000 && (value > 0 || ~is_speed)
        retraction.(name) = value;
    end
end
end
