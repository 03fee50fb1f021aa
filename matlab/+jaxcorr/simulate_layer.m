function fields = simulate_layer(program, layer, options, part, plan_options, probe_um)
%SIMULATE_LAYER   Simulates a layer: plan, reference, plant, disturbances, error of each source.
%   FIELDS = SIMULATE_LAYER(PROGRAM, LAYER, OPTIONS, PART) takes a program of PARSE_GCODE, a layer
%   from 1, SIMULATE_OPTIONS and the part's name, which enters the random numbers, and returns every
%   column of a trace as TRACE_FIELDS does.
%
%   FIELDS = SIMULATE_LAYER(PROGRAM, LAYER, OPTIONS, PART, PLAN_OPTIONS) takes another point of a
%   sweep than OPTIONS.plan.
%
%   FIELDS = SIMULATE_LAYER(PROGRAM, LAYER, OPTIONS, PART, PLAN_OPTIONS, PROBE_UM) follows a command
%   that differs from the reference by random knots of this RMS (PROBE_KNOTS). r below is then the
%   command; the sources add up to actual - command, and error stays actual - reference.
%
%   Errors are differences between runs that have one source more, so that they add up to the total:
%
%     junction_deviation   linear plant on the velocity steps at junctions alone
%     resonance            linear plant on the whole reference, less that
%     friction             plant with friction, less linear
%     microstep            the same on r + d(r), plus d(r), less that
%     jitter               the same on r + d(r) - v tau, plus its deviations, less that
%     floor                noise added at the end
%
%   A source that is off contributes zero and is left out of the runs after it.
%
%   See also SIMULATE_OPTIONS, RUN_PLANT, TRACE_FIELDS, COLLECT_DATA.

if nargin < 5
    plan_options = options.plan;
end
if nargin < 6
    probe_um = 0;
end
plan = jaxcorr.plan_layer(program, layer, plan_options);
options = jaxcorr.load_bed(options, program, layer);
% The last sample is at or before the end, within 1e-6 of a sample; two at least.
num_samples = max(floor(plan.total_s * options.rate_hz + 1e-6) + 1, 2);
[late_s, floor_mm] = draw(num_samples, layer, options, part, plan_options);
probe = draw_probe(num_samples, layer, options, part, plan_options, probe_um);
elastic = elastic_error(plan, num_samples, late_s, probe, options);

time_s = (0:num_samples - 1)' / options.rate_hz;
samples = jaxcorr.sample_plan(plan, time_s);
keep = 1:options.every:size(late_s, 1);
command = struct('position_mm', samples.position_mm(:, 1:2) + probe.position_mm(keep, :), ...
    'velocity_mm_s', samples.velocity_mm_s(:, 1:2) + probe.velocity_mm_s(keep, :));
[micro, late] = deviate(command.position_mm, command.velocity_mm_s, late_s(keep, :), options);
errors = cat(3, elastic(:, :, 1), elastic(:, :, 2) - elastic(:, :, 1), ...
    elastic(:, :, 3) - elastic(:, :, 2), elastic(:, :, 4) + micro - elastic(:, :, 3), ...
    elastic(:, :, 5) + late - elastic(:, :, 4), floor_mm(keep, :));
errors(:, :, ~ismember(jaxcorr.source_names(), options.sources)) = 0;

if probe_um > 0
    fields = jaxcorr.trace_fields(plan, samples, time_s, errors, layer, command);
else
    fields = jaxcorr.trace_fields(plan, samples, time_s, errors, layer);
end
end

function [late_s, floor_mm] = draw(num_samples, layer, options, part, plan_options)
% All that is random in one trace, at the plant's rate.
before = rng();
restore = onCleanup(@() rng(before));
rng(random_seed(layer, options, part, plan_options), 'twister');
num = (num_samples - 1) * options.every + 1;
is_on = ismember({'jitter', 'floor'}, options.sources);
late_s = jaxcorr.timer_lateness(num, options.jitter_cycles * is_on(1));
floor_mm = jaxcorr.floor_noise(num, options.floor_um / 1000 * is_on(2), options.floor_hz, ...
    options.plant.rate_hz);
end

function probe = draw_probe(num_samples, layer, options, part, plan_options, probe_um)
% What the probe adds to the reference, at the plant's rate.
seed = random_seed(layer, options, part, plan_options, round(1000 * probe_um));
rate_hz = options.knot_rate_hz;
per_knot = round(options.plant.rate_hz / rate_hz);
num = (num_samples - 1) * options.every + 1;
knots = jaxcorr.probe_knots(seed, ceil((num - 1) / per_knot) + 1, probe_um / 1000, rate_hz);
[position, velocity] = jaxcorr.correction_curve(knots, rate_hz, per_knot);
probe = struct('position_mm', position(1:num, :), 'velocity_mm_s', velocity(1:num, :));
end

function seed = random_seed(layer, options, part, plan_options, varargin)
% Below 2^31, from all that names a trace, not from what else is simulated.
sweep = round(1000 * [plan_options.accel_mm_s2, plan_options.velocity_mm_s]);
sweep(isnan(sweep)) = 0;
seed = jaxcorr.probe_seed([options.seed, double(part), 256, layer, sweep, varargin{:}]);
end

function elastic = elastic_error(plan, num_samples, late_s, probe, options)
% The plant's error, samples by axes by lanes: velocity steps, reference, with friction, with
% microsteps, with jitter. In blocks, so that a long layer takes no more memory than a short one.
num_lanes = 5;
block_samples = 1000;
has_friction = [0 0 1 1 1] * ismember('friction', options.sources);
matrices = jaxcorr.plant_matrices(options.plant);
state = zeros(size(matrices.a, 1), num_lanes);
elastic = zeros(num_samples, 2 * num_lanes);
for first = 1:block_samples:num_samples - 1
    last = min(first + block_samples, num_samples);
    index = ((first - 1) * options.every + 1:(last - 1) * options.every + 1)';
    [position, velocity] = commands(plan, index, late_s(index, :), probe, options);
    [elastic(first + 1:last, :), state] = jaxcorr.run_plant(matrices, state, has_friction, ...
        position, velocity, options.every);
end
elastic = reshape(elastic, num_samples, 2, num_lanes);
end

function [position, velocity] = commands(plan, index, late_s, probe, options)
% Of the motors, at the plant's samples INDEX, from 1: x and y of each lane side by side.
time_s = (index - 1) / options.plant.rate_hz;
samples = jaxcorr.sample_plan(plan, time_s);
r = samples.position_mm(:, 1:2) + probe.position_mm(index, :);
v = samples.velocity_mm_s(:, 1:2) + probe.velocity_mm_s(index, :);
[step_v, step_r] = jaxcorr.sample_velocity_steps(plan, time_s);
[micro, late, micro_v] = deviate(r, v, late_s, options);
position = [step_r(:, 1:2), r, r, r + micro, r + micro + late];
velocity = [step_v(:, 1:2), v, v, micro_v, micro_v];
end

function [micro, late, micro_v] = deviate(position, velocity, late_s, options)
% How the motors stand off a command, in x and y, and how fast they are with their microsteps.
amplitude = options.microstep_um / 1000 * ismember('microstep', options.sources);
back = @(motors) jaxcorr.from_motors(options.plant, motors);
speed = jaxcorr.to_motors(options.plant, velocity);
[micro, slope] = jaxcorr.microstep(jaxcorr.to_motors(options.plant, position), amplitude);
micro = back(micro);
late = back(-speed .* late_s);
micro_v = back(speed .* (1 + slope));
end
