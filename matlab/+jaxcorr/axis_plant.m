function axis = axis_plant(mass_kg, stiffness_n_m, damping_ns_m, friction_n)
%AXIS_PLANT   One axis of the printer as a mass on its belt.
%   AXIS = AXIS_PLANT(MASS_KG, STIFFNESS_N_M, DAMPING_NS_M, FRICTION_N) checks the values;
%   FRICTION_N and DAMPING_NS_M may be 0.
%
%   See also PLANT_MATRICES.

axis = struct('mass_kg', mass_kg, 'stiffness_n_m', stiffness_n_m, ...
    'damping_ns_m', damping_ns_m, 'friction_n', friction_n);
for name = fieldnames(axis)'
    value = axis.(name{1});
    is_spring = any(strcmp(name{1}, {'mass_kg', 'stiffness_n_m'}));
    if ~isfinite(value) || value < 0 || (is_spring && value == 0)
        rule = {'>= 0', '> 0'};
        error('jaxcorr:plant:badAxis', 'plant: expected %s %s, got %g. Check its unit.', ...
            name{1}, rule{is_spring + 1}, value);
    end
end
end
