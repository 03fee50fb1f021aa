function limits = read_setting(limits, firmware, command, arguments, unit_mm)
%READ_SETTING   Motion limits after a setting of Marlin, Klipper or RepRapFirmware.
%   LIMITS = READ_SETTING(LIMITS, FIRMWARE, COMMAND, ARGUMENTS, UNIT_MM) applies M201, M203, M204,
%   M205, M566 or SET_VELOCITY_LIMIT as FIRMWARE has it, with lengths in the file's unit: UNIT_MM is
%   1, or 25.4 for inches. A value that cannot be a limit changes nothing.
%
%   See also FIRMWARE_LIMITS, PARSE_SETTINGS.
%
%   Reference: Marlin, Klipper and RepRapFirmware, G-code indices.

if strcmp(command, 'SET_VELOCITY_LIMIT')
    limits = of_klipper(limits, arguments);
    return
end
words = jaxcorr.parse_settings(arguments) * unit_mm;
per_minute = 1;
if strcmp(firmware, 'reprapfirmware')
    per_minute = 60;
end
switch command
    case 'M201'
        limits.max_accel_mm_s2 = replace_axes(limits.max_accel_mm_s2, words, false);
    case 'M203'
        limits.max_feedrate_mm_s = ...
            replace_axes(limits.max_feedrate_mm_s, words / per_minute, false);
    case 'M204'
        limits = set_accelerations(limits, words, firmware);
    case 'M205'
        limits = set_cornering(limits, words);
    case 'M566'
        limits = set_cornering(limits, words / per_minute);
end
end

function limits = of_klipper(limits, text)
% ACCEL_TO_DECEL is the older spelling of the cruise ratio.
value = @(name) jaxcorr.parse_keywords(text, name);
if is_positive(value('ACCEL'), false)
    limits.print_accel_mm_s2 = value('ACCEL');
    limits.travel_accel_mm_s2 = value('ACCEL');
end
if is_positive(value('VELOCITY'), false)
    limits.max_velocity_mm_s = value('VELOCITY');
end
if is_positive(value('SQUARE_CORNER_VELOCITY'), true)
    limits.square_corner_velocity_mm_s = value('SQUARE_CORNER_VELOCITY');
end
ratio = value('MINIMUM_CRUISE_RATIO');
if isnan(ratio) && is_positive(value('ACCEL_TO_DECEL'), false)
    ratio = max(0, 1 - value('ACCEL_TO_DECEL') / limits.print_accel_mm_s2);
end
if ratio >= 0 && ratio < 1
    limits.minimum_cruise_ratio = ratio;
end
end

function limits = set_accelerations(limits, words, firmware)
% S is the old spelling of P and T together; the newer letters win. Klipper takes S, or the smaller
% one of P and T where both are there, for all moves.
both = words('S' - 'A' + 1);
accels = words('PTR' - 'A' + 1);
if strcmp(firmware, 'klipper')
    if isnan(both) && ~any(isnan(accels(1:2)))
        both = min(accels(1:2));
    end
    accels = nan(1, 3);
end
names = {'print_accel_mm_s2', 'travel_accel_mm_s2', 'retract_accel_mm_s2'};
for k = 1:3
    if is_positive(accels(k), false)
        limits.(names{k}) = accels(k);
    elseif k < 3 && is_positive(both, false)
        limits.(names{k}) = both;
    end
end
end

function limits = set_cornering(limits, words)
% J selects junction deviation, any of X Y Z E classic jerk; S, T and B mean neither.
deviation = words('J' - 'A' + 1);
jerk = limits.classic_jerk_mm_s;
if any(isnan(jerk))
    stock = jaxcorr.ender3_v2();
    jerk = stock.classic_jerk_mm_s;
end
[jerk, is_set] = replace_axes(jerk, words, true);
if is_positive(deviation, false)
    limits.junction_deviation_mm = deviation;
    limits.classic_jerk_mm_s = nan(1, 4);
elseif is_set
    limits.classic_jerk_mm_s = jerk;
    limits.junction_deviation_mm = NaN;
end
end

function [axes_values, is_set] = replace_axes(axes_values, words, is_zero_allowed)
values = words('XYZE' - 'A' + 1);
is_usable = arrayfun(@(value) is_positive(value, is_zero_allowed), values);
axes_values(is_usable) = values(is_usable);
is_set = any(is_usable);
end

function is_usable = is_positive(value, is_zero_allowed)
% Whether there is a value that can be a limit; NaN is none.
is_usable = value <= 1e9 && (value > 0 || (value == 0 && is_zero_allowed));
end
