function xy = from_motors(plant, motors)
%FROM_MOTORS   Positions or velocities in x and y of motors.
%   XY = FROM_MOTORS(PLANT, MOTORS) undoes TO_MOTORS.
%
%   See also TO_MOTORS.

xy = motors;
if isfield(plant, 'kinematics')
    xy = jaxcorr.to_motors(plant, motors) / 2;
end
end
