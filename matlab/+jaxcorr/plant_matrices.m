function matrices = plant_matrices(plant)
%PLANT_MATRICES   One exact step of the plant, 1/rate_hz long, per axis.
%   MATRICES = PLANT_MATRICES(PLANT) takes PLANT_OPTIONS. With u the motor side, v = u', x the head,
%   e = x - u and w = x', in mm, mm/s and s, each axis follows
%
%     e' = w - v        w' = -(k/m) e - (c/m)(w - v) - (1000 F/m) tanh(w / v_s)
%
%   where damping to ground has (c/m) w instead of (c/m)(w - v). Within a step u is the cubic
%   Hermite through both ends, and the linear part is exact:
%
%     [e; w]+ = a [e; w] + b [v0; v1; vbar] + g f,   vbar = (u1 - u0) rate_hz
%
%   MATRICES has a, 2-by-2-by-2, b, 2-by-3-by-2, and g, 2-by-2, the last index the axis, and
%   friction_velocity_mm_s and rate_hz.
%
%   See also RUN_PLANT.

axes_of_plant = {plant.x, plant.y};
matrices = struct('a', zeros(2, 2, 2), 'b', zeros(2, 3, 2), 'g', zeros(2, 2), ...
    'friction_velocity_mm_s', plant.friction_velocity_mm_s, 'rate_hz', plant.rate_hz);
for k = 1:2
    exact = axis_step(axes_of_plant{k}, plant);
    matrices.a(:, :, k) = exact(:, 1:2);
    % From v, h v' and h^2 v'' at the start of a step to v0, v1 and vbar.
    matrices.b(:, :, k) = exact(:, 3:5) * [1 0 0; -4 -2 6; 6 6 -12];
    matrices.g(:, k) = exact(:, 6);
end
end

function exact = axis_step(axis, plant)
% Rows e and w of the matrix exponential of [e, w, v, h v', h^2 v'', f].
h = 1 / plant.rate_hz;
k = axis.stiffness_n_m / axis.mass_kg;
c = axis.damping_ns_m / axis.mass_kg;
rates = zeros(6);
rates(1, 2:3) = [1 -1];
rates(2, 1:3) = [-k, -c, c * strcmp(plant.damping, 'relative')];
rates(2, 6) = -1000 * axis.friction_n / axis.mass_kg;
rates(3, 4) = 1 / h;
rates(4, 5) = 1 / h;
exact = expm(rates * h);
exact = exact(1:2, :);
end
