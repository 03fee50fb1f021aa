function matrices = plant_matrices(plant)
%PLANT_MATRICES   One exact step of the plant, 1/rate_hz long.
%   MATRICES = PLANT_MATRICES(PLANT) takes PLANT_OPTIONS. With u the motor side, v = u', x the head,
%   e = x - u and w = x', in mm, mm/s and s, each axis follows
%
%     e' = w - v        w' = -(k/m) e - (c/m)(w - v) - (1000 F/m) tanh(w / v_s)
%
%   where damping to ground has (c/m) w instead of (c/m)(w - v). A second mode follows the motor
%   with a lag of its own, with the same mass; the head's motion is the sum of both by their shares
%   and of what follows the motor stiffly, and friction pulls at a mode with its share's sign. On a
%   CoreXY belts pull along x + y and x - y, and friction is that of those speeds. Within a step u
%   is the cubic Hermite through both ends, and the linear part is exact:
%
%     z+ = a z + b [v0; v1; vbar] + g f,   vbar = (u1 - u0) rate_hz
%
%   z has e and w of the head, and of a second mode, of x and then of y; v0, v1 and vbar are of x
%   and y, f is of the motors. MATRICES has a, b (an array for each of v0, v1 and vbar), g, pulls
%   (how far the motors go per mm of x and y), friction_velocity_mm_s and rate_hz.
%
%   See also RUN_PLANT, AXIS_PLANT.

axes_of_plant = {with_modes(plant.x), with_modes(plant.y)};
num_states = 2 + 2 * any(cellfun(@(axis) axis.second_share ~= 0, axes_of_plant));
pulls = jaxcorr.to_motors(plant, eye(2))';
[rates, head] = all_rates(plant, axes_of_plant, num_states, pulls);
exact = head * expm(rates / plant.rate_hz) / head;
exact = exact(1:2 * num_states, :);
% From v, h v' and h^2 v'' at the start of a step to v0, v1 and vbar.
shape = [1 0 0; -4 -2 6; 6 6 -12];
x = exact(:, 2 * num_states + (1:3)) * shape;
y = exact(:, 2 * num_states + (4:6)) * shape;
matrices = struct('a', exact(:, 1:2 * num_states), ...
    'b', permute(cat(3, x, y), [1 3 2]), 'g', exact(:, end - 1:end), 'pulls', pulls, ...
    'friction_velocity_mm_s', plant.friction_velocity_mm_s, 'rate_hz', plant.rate_hz);
end

function axis = with_modes(axis)
if ~isfield(axis, 'second_share')
    axis.second_share = 0;
    axis.stiff_share = 0;
end
end

function [rates, head] = all_rates(plant, axes_of_plant, num_states, pulls)
% Rates of e1, w1 and e2, w2 of each axis's modes, v, h v' and h^2 v'' of each axis, and f of each
% motor; and what turns the modes into the head's motion.
is_relative = strcmp(plant.damping, 'relative');
motors = axes_of_plant;
rates = zeros(2 * num_states + 8);
head = eye(size(rates));
friction = 2 * num_states + [7 8];
for i = 1:2
    axis = axes_of_plant{i};
    at = (i - 1) * num_states + 1;
    v = 2 * num_states + [1 4];
    rates(at:2:at + num_states - 1, v(i)) = -1;
    rates(at, at + 1) = 1;
    for j = 1:2
        k = motors{j}.stiffness_n_m / axis.mass_kg * pulls(j, i) * pulls(j, :);
        c = motors{j}.damping_ns_m / axis.mass_kg * pulls(j, i) * pulls(j, :);
        rates(at + 1, [1, num_states + 1]) = rates(at + 1, [1, num_states + 1]) - k;
        rates(at + 1, [2, num_states + 2]) = rates(at + 1, [2, num_states + 2]) - c;
        rates(at + 1, v) = rates(at + 1, v) + c * is_relative;
        rates(at + 1, friction(j)) = -1000 * pulls(j, i) * motors{j}.friction_n / axis.mass_kg;
    end
    rates(v(i), v(i) + 1) = plant.rate_hz;
    rates(v(i) + 1, v(i) + 2) = plant.rate_hz;
    head([at, at + 1], [at, at + 1]) = eye(2) * (1 - axis.second_share - axis.stiff_share);
    head(at + 1, v(i)) = axis.stiff_share;
    if axis.second_share ~= 0
        w = 2 * pi * axis.second_frequency_hz;
        damping = 2 * axis.second_damping_ratio * w;
        rates(at + 2, at + 3) = 1;
        rates(at + 3, [at + 2, at + 3]) = [-w^2, -damping];
        rates(at + 3, v(i)) = damping * is_relative;
        rates(at + 3, friction) = sign(axis.second_share) * rates(at + 1, friction);
        head([at, at + 1], [at + 2, at + 3]) = eye(2) * axis.second_share;
    end
end
end
