function limits = firmware_limits(firmware)
%FIRMWARE_LIMITS   Motion limits before a file sets any.
%   LIMITS = FIRMWARE_LIMITS(FIRMWARE) takes 'marlin2.0', 'marlin2.1', 'klipper' or
%   'reprapfirmware' and returns a struct as ENDER3_V2 has it. Klipper gets its limits from a
%   configuration that the file does not have: its axes have none here.
%
%   See also FIND_FIRMWARE, READ_SETTING.
%
%   Reference: Klipper, Config_Reference; RepRapFirmware, M201 and M204.

limits = jaxcorr.ender3_v2();
accels = {'print_accel_mm_s2', 'travel_accel_mm_s2', 'retract_accel_mm_s2'};
switch firmware
    case 'marlin2.0'
    case 'marlin2.1'
        limits.is_jerk_of_difference = true;
    case 'klipper'
        limits.max_feedrate_mm_s = inf(1, 4);
        limits.max_accel_mm_s2 = inf(1, 4);
        limits.classic_jerk_mm_s = nan(1, 4);
        limits.square_corner_velocity_mm_s = 5;
        limits.minimum_cruise_ratio = 0.5;
        for name = accels
            limits.(name{1}) = 3000;
        end
    case 'reprapfirmware'
        limits.is_jerk_of_difference = true;
        for name = accels
            limits.(name{1}) = 10000;
        end
    otherwise
        error('jaxcorr:gcode:badFirmware', ...
            ['firmware: expected one of marlin2.0, marlin2.1, klipper, reprapfirmware, got %s. ' ...
            'Leave it out to go by the file.'], jaxcorr.quote(firmware));
end
end
