function [deviation_mm, slope] = microstep(position_mm, amplitude_mm)
%MICROSTEP   How far a stepper motor stands off its command.
%   [DEVIATION_MM, SLOPE] = MICROSTEP(POSITION_MM, AMPLITUDE_MM) returns d(r) = A sin(2 pi r / 0.2)
%   + A sin(2 pi r / 0.8), one and four full steps of a belt axis, and its derivative by r, for an
%   array of positions.
%
%   See also SIMULATE_LAYER.

per_mm = 2 * pi ./ [0.2 0.8];
fine = per_mm(1) * position_mm;
coarse = per_mm(2) * position_mm;
deviation_mm = amplitude_mm * (sin(fine) + sin(coarse));
slope = amplitude_mm * (per_mm(1) * cos(fine) + per_mm(2) * cos(coarse));
end
