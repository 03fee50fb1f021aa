function points = cut_arc(start, finish, centre, is_clockwise, turns, rise_mm)
%CUT_ARC   An arc in the XY plane as chords.
%   POINTS = CUT_ARC(START, FINISH, CENTRE, IS_CLOCKWISE, TURNS, RISE_MM) takes points as 1-by-2,
%   mm, and returns the ends of max(floor(length / 1 mm), ceil(24 angle / 2 pi), 1) chords, N-by-2;
%   the last is FINISH. The arc is a full circle where FINISH is START; TURNS full turns are added
%   to it. The height RISE_MM of the helix counts in the length. The radius goes linearly from
%   START's to FINISH's; a FINISH that is off by more than 0.1 mm is reached by a straight piece.
%   Refused where the radius is 0, or the arc longer than 20 m.
%
%   See also ARC_CENTRE, EXECUTE_LINE.
%
%   Reference: Marlin 2.0, MM_PER_ARC_SEGMENT = 1 and MIN_ARC_SEGMENTS = 24.

a = start - centre;
b = finish - centre;
if norm(a) < 1e-6
    error('jaxcorr:gcode:badArc', 'expected a centre away from the start, got a radius of 0');
end
end_radius = norm(b);
if abs(norm(a) - norm(b)) > 0.1
    end_radius = norm(a);
end
sense = 1 - 2 * is_clockwise;
angle = sweep(a, b, sense) + sense * 2 * pi * turns;
length_mm = hypot(norm(a) * angle, rise_mm);
% The small terms keep a length of exactly 5 mm at 5 chords on every machine.
num = max([floor(length_mm + 1e-9), ceil(24 * abs(angle) / (2 * pi) - 1e-9), 1]);
if num > 20000
    error('jaxcorr:gcode:badArc', 'expected an arc of at most 20000 mm, got %g', length_mm);
end
part = (1:num)' / num;
radius = norm(a) + (end_radius - norm(a)) * part;
at = atan2(a(2), a(1)) + angle * part;
points = [centre(1) + radius .* cos(at), centre(2) + radius .* sin(at)];
points(end, :) = finish;
end

function angle = sweep(a, b, sense)
% Signed angle from a to b, in the arc's sense; a full turn where a is b.
angle = atan2(a(1) * b(2) - a(2) * b(1), a(1) * b(1) + a(2) * b(2));
if norm(b - a) < 1e-6
    angle = sense * 2 * pi;
elseif sense * angle < 0
    angle = angle + sense * 2 * pi;
end
end
