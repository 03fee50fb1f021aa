function motors = to_motors(plant, xy)
%TO_MOTORS   Positions or velocities of the motors.
%   MOTORS = TO_MOTORS(PLANT, XY) takes PLANT_OPTIONS and N-by-2 of x and y. On a CoreXY motors
%   drive a = x + y and b = x - y; else they drive x and y.
%
%   See also FROM_MOTORS.

motors = xy;
if isfield(plant, 'kinematics')
    motors = [xy(:, 1) + xy(:, 2), xy(:, 1) - xy(:, 2)];
end
end
