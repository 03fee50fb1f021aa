function plant = plant_options(x, y, friction_velocity_mm_s, damping, rate_hz, kinematics)
%PLANT_OPTIONS   Both axes of the printer, and how they are integrated.
%   PLANT = PLANT_OPTIONS() returns the Ender-3 V2's: X 0.35 kg, Y 0.45 kg, 8000 N/m, 15 N s/m,
%   friction 0.8 N, relative damping, 2000 Hz.
%
%   PLANT = PLANT_OPTIONS(X, Y, FRICTION_VELOCITY_MM_S, DAMPING, RATE_HZ) takes axes of AXIS_PLANT,
%   the speed at which friction has three quarters of its force, 'relative' or 'ground', and the
%   rate of integration.
%
%   PLANT = PLANT_OPTIONS(..., KINEMATICS) takes 'cartesian', or 'corexy' for motors and belts that
%   drive x + y and x - y: stiffness, damping and friction of X and Y are then those of the belts.
%
%   See also AXIS_PLANT, PLANT_MATRICES, TO_MOTORS.

if nargin == 0
    x = jaxcorr.axis_plant(0.35, 8000, 15, 0.8);
    y = jaxcorr.axis_plant(0.45, 8000, 15, 0.8);
    friction_velocity_mm_s = 2;
    damping = 'relative';
    rate_hz = 2000;
end
if ~any(strcmp(damping, {'relative', 'ground'}))
    error('jaxcorr:plant:badDamping', ...
        'plant: expected damping ''relative'' or ''ground'', got %s. Choose one of them.', ...
        jaxcorr.quote(damping));
end
if nargin < 6
    kinematics = 'cartesian';
elseif ~any(strcmp(kinematics, {'cartesian', 'corexy'}))
    error('jaxcorr:plant:badKinematics', ...
        'plant: expected kinematics ''cartesian'' or ''corexy'', got %s. Choose one of them.', ...
        jaxcorr.quote(kinematics));
end
plant = struct('x', x, 'y', y, 'friction_velocity_mm_s', friction_velocity_mm_s, ...
    'damping', damping, 'rate_hz', rate_hz);
if strcmp(kinematics, 'corexy')
    plant.kinematics = kinematics;
end
% Friction held over a step must not overshoot its own sign (2 is the end of stability).
max_friction_step = 1.5;
pulls = jaxcorr.to_motors(plant, eye(2))';
share = [moved(x), moved(y)] ./ [x.mass_kg, y.mass_kg];
fastest = max(abs((pulls .* share) * pulls') * [x.friction_n; y.friction_n]);
slope = 1000 * fastest / friction_velocity_mm_s;
if ~(slope / rate_hz <= max_friction_step)
    error('jaxcorr:plant:badRate', ...
        ['plant: expected rate_hz >= %.0f for this friction, got %g. Raise plant_rate_hz or ' ...
        'friction_velocity_mm_s.'], slope / max_friction_step, rate_hz);
end
end

function share = moved(axis)
% Of a force at the head, what moves modes.
share = 1;
if isfield(axis, 'second_share')
    share = abs(1 - axis.second_share - axis.stiff_share) + abs(axis.second_share);
end
end
