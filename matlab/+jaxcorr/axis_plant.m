function axis = axis_plant(mass_kg, stiffness_n_m, damping_ns_m, friction_n, second)
%AXIS_PLANT   One axis of the printer as a mass on its belt.
%   AXIS = AXIS_PLANT(MASS_KG, STIFFNESS_N_M, DAMPING_NS_M, FRICTION_N) checks the values;
%   FRICTION_N and DAMPING_NS_M may be 0.
%
%   AXIS = AXIS_PLANT(..., SECOND) has a second mode: a struct with second_frequency_hz,
%   second_damping_ratio, second_share (of the axis's motion, 0 for none) and stiff_share (of what
%   follows the motor stiffly). The main mode has the rest.
%
%   See also PLANT_MATRICES.

axis = struct('mass_kg', mass_kg, 'stiffness_n_m', stiffness_n_m, ...
    'damping_ns_m', damping_ns_m, 'friction_n', friction_n);
for name = fieldnames(axis)'
    is_spring = any(strcmp(name{1}, {'mass_kg', 'stiffness_n_m'}));
    check(name{1}, axis.(name{1}), axis.(name{1}) > 0 || ~is_spring, is_spring);
end
if nargin < 5
    return
end
for name = fieldnames(second)'
    axis.(name{1}) = second.(name{1});
end
has_second = axis.second_share ~= 0;
check('second_frequency_hz', axis.second_frequency_hz, ...
    axis.second_frequency_hz > 0 || ~has_second, has_second);
check('second_damping_ratio', axis.second_damping_ratio, true, false);
main = 1 - axis.second_share - axis.stiff_share;
check('1 - second_share - stiff_share', main, main > 0, true);
end

function check(name, value, is_right, is_above)
if ~isfinite(value) || value < 0 || ~is_right
    rule = {'>= 0', '> 0'};
    error('jaxcorr:plant:badAxis', 'plant: expected %s %s, got %g. Check its unit.', ...
        name, rule{is_above + 1}, value);
end
end
