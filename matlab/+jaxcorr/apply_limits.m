function limits = apply_limits(limits, command, words, unit_mm)
%APPLY_LIMITS   Motion limits after M201, M203, M204 or M205.
%   LIMITS = APPLY_LIMITS(LIMITS, COMMAND, WORDS, UNIT_MM) applies COMMAND, one of the four, with
%   WORDS as PARSE_WORDS gives them, in the file's unit of length: UNIT_MM is 1, or 25.4 for inches.
%   Letters without meaning are ignored. A limit that is not positive is refused; a jerk may be 0.
%
%   See also ENDER3_V2, PARSE_WORDS.
%
%   Reference: Marlin, G-code index, M201, M203, M204, M205.

switch command
    case 'M201'
        limits.max_accel_mm_s2 = replace_axes(limits.max_accel_mm_s2, words, unit_mm, false);
    case 'M203'
        limits.max_feedrate_mm_s = replace_axes(limits.max_feedrate_mm_s, words, unit_mm, false);
    case 'M204'
        limits = set_accelerations(limits, words, unit_mm);
    case 'M205'
        limits = set_cornering(limits, words, unit_mm);
end
end

function limits = set_accelerations(limits, words, unit_mm)
% S is the old spelling of P and T together; the newer letters win.
both = positive(words, 'S', unit_mm, false);
limits.print_accel_mm_s2 = first_known(positive(words, 'P', unit_mm, false), both, ...
    limits.print_accel_mm_s2);
limits.travel_accel_mm_s2 = first_known(positive(words, 'T', unit_mm, false), both, ...
    limits.travel_accel_mm_s2);
limits.retract_accel_mm_s2 = first_known(positive(words, 'R', unit_mm, false), NaN, ...
    limits.retract_accel_mm_s2);
end

function limits = set_cornering(limits, words, unit_mm)
% J selects junction deviation, any of X Y Z E classic jerk; S, T and B mean neither.
deviation = positive(words, 'J', unit_mm, false);
if ~isnan(deviation)
    limits.junction_deviation_mm = deviation;
    limits.classic_jerk_mm_s = nan(1, 4);
elseif ~all(isnan(words('XYZE' - 'A' + 1)))
    jerk = limits.classic_jerk_mm_s;
    if any(isnan(jerk))
        stock = jaxcorr.ender3_v2();
        jerk = stock.classic_jerk_mm_s;
    end
    limits.classic_jerk_mm_s = replace_axes(jerk, words, unit_mm, true);
    limits.junction_deviation_mm = NaN;
end
end

function axes_values = replace_axes(axes_values, words, unit_mm, is_zero_allowed)
letters = 'XYZE';
for axis = 1:4
    axes_values(axis) = first_known( ...
        positive(words, letters(axis), unit_mm, is_zero_allowed), NaN, axes_values(axis));
end
end

function value = first_known(first, second, third)
values = [first second third];
value = values(find(~isnan(values), 1));
end

function value_mm = positive(words, letter, unit_mm, is_zero_allowed)
% The value of a word in mm, NaN where it is absent.
value = words(letter - 'A' + 1);
if value > 1e9 || value < 0 || (value == 0 && ~is_zero_allowed)
    relation = '>';
    if is_zero_allowed
        relation = '>=';
    end
    error('jaxcorr:gcode:badLimit', 'expected %s %s 0 and <= 1e+09, got %g', ...
        letter, relation, value);
end
value_mm = value * unit_mm;
end
