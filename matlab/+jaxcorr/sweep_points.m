function points = sweep_points(options)
%SWEEP_POINTS   The plan's options of each point of a sweep.
%   POINTS = SWEEP_POINTS(OPTIONS) takes SIMULATE_OPTIONS and returns a struct array of
%   PLAN_OPTIONS, velocity running fastest; one element where there is no sweep.
%
%   See also SIMULATE_OPTIONS.

accels = options.sweep_accel_mm_s2;
velocities = options.sweep_velocity_mm_s;
if isempty(accels)
    accels = options.plan.accel_mm_s2;
end
if isempty(velocities)
    velocities = options.plan.velocity_mm_s;
end
[velocity, accel] = ndgrid(velocities(:), accels(:));
points = repmat(options.plan, numel(accel), 1);
for k = 1:numel(points)
    points(k).accel_mm_s2 = accel(k);
    points(k).velocity_mm_s = velocity(k);
end
end
