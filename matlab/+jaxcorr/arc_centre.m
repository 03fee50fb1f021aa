function centre = arc_centre(start, finish, radius_mm, is_clockwise)
%ARC_CENTRE   Centre of an arc that is given by its radius.
%   CENTRE = ARC_CENTRE(START, FINISH, RADIUS_MM, IS_CLOCKWISE) takes points as 1-by-2, mm, and
%   returns the centre of the shorter arc for RADIUS_MM > 0, of the longer one for RADIUS_MM < 0.
%   Where the points lie farther apart than the diameter, the centre is halfway, as in Marlin;
%   refused where they coincide.
%
%   See also CUT_ARC.

way = finish - start;
chord = norm(way);
if chord < 1e-6
    error('jaxcorr:gcode:badArc', ...
        'expected an end that differs from the start with R, got a full circle');
end
height = sqrt(max(radius_mm^2 - chord^2 / 4, 0));
% The centre lies to the right of the way for the shorter clockwise arc, else to the left.
side = 1;
if is_clockwise == (radius_mm > 0)
    side = -1;
end
centre = (start + finish) / 2 + side * height * [-way(2), way(1)] / chord;
end
