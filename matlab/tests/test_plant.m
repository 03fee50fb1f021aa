function [pass, names] = test_plant()
%TEST_PLANT   Tests of the plant and the disturbances against closed forms.
%   PASS = TEST_PLANT() returns a logical vector, true where a check passed.
%   [PASS, NAMES] = TEST_PLANT() also returns the names of the checks.
%
%   See also RUN_TESTS, JAXCORR.RUN_PLANT.

[pass, names] = run_checks({@natural_frequencies, @constant_acceleration, @velocity_step, ...
    @half_the_stiffness, @friction_offset, @damping_to_ground, @two_modes_ring, ...
    @belts_stretch, @diagonal_turns_one_motor, @printed_mass_slows_the_bed, @in_pieces, @finer_steps_agree, ...
    @microstep_slope, @lateness_is_bounded, @floor_has_its_rms, @sources_add_up, ...
    @sources_switch_off, @seed_decides, @verdict_of_the_standard_trajectory, @refusals});
end

function axis = frictionless(mass_kg, stiffness_n_m)
axis = jaxcorr.axis_plant(mass_kg, stiffness_n_m, 15, 0);
end

function error_mm = follow(x, y, damping, position_mm, velocity_mm_s)
% Error of both axes on one command at 2000 Hz, a row per step.
plant = jaxcorr.plant_options(x, y, 2, damping, 2000);
error_mm = run_both(plant, position_mm .* [1 1], velocity_mm_s .* [1 1]);
end

function error_mm = run_both(plant, position_mm, velocity_mm_s)
% Error of both axes, the head as fast as the motors at first.
matrices = jaxcorr.plant_matrices(plant);
start = reshape(repmat([0 0; velocity_mm_s(1, :)], size(matrices.a, 1) / 4, 1), [], 1);
error_mm = jaxcorr.run_plant(matrices, start, 1, position_mm, velocity_mm_s, 1);
end

function pass = natural_frequencies()
plant = jaxcorr.plant_options();
hz = @(axis) sqrt(axis.stiffness_n_m / axis.mass_kg) / (2 * pi);
ratio = @(axis) axis.damping_ns_m / (2 * sqrt(axis.stiffness_n_m * axis.mass_kg));
pass = abs(hz(plant.x) - 24.06) < 0.005 && abs(hz(plant.y) - 21.22) < 0.005 ...
    && abs(ratio(plant.x) - 0.142) < 5e-4 && abs(ratio(plant.y) - 0.125) < 5e-4;
end

function pass = constant_acceleration()
% e = -a / w^2: 21.9 um on x, 28.1 um on y at 500 mm/s2.
t = (0:4000)' / 2000;
error_mm = follow(frictionless(0.35, 8000), frictionless(0.45, 8000), 'relative', ...
    250 * t.^2, 500 * t);
expected = -500 * [0.35 0.45] / 8000;
pass = all(abs(error_mm(end, :) - expected) < 1e-9) ...
    && all(abs(1000 * expected + [21.9 28.1]) < 0.05);
end

function pass = velocity_step()
% e(t) = -(dv / wd) exp(-z w t) sin(wd t), exact at every step; the first peak is near dv / w.
dv = 10;
t = (0:1000)' / 2000;
plant = jaxcorr.plant_matrices(jaxcorr.plant_options( ...
    frictionless(0.35, 8000), frictionless(0.45, 8000), 2, 'relative', 2000));
error_mm = jaxcorr.run_plant(plant, zeros(4, 1), 1, dv * t .* [1 1], ...
    dv * ones(numel(t), 2), 1);
w = sqrt(8000 ./ [0.35 0.45]);
z = 15 ./ (2 * sqrt(8000 * [0.35 0.45]));
wd = w .* sqrt(1 - z.^2);
exact = -(dv ./ wd) .* exp(-z .* w .* t) .* sin(wd .* t);
wrong = error_mm - exact(2:end, :);
peak = max(abs(error_mm));
pass = max(abs(wrong(:))) < 1e-9 && all(abs(peak .* w / dv - 0.82) < 0.02);
end

function pass = half_the_stiffness()
t = (0:8000)' / 2000;
error_mm = follow(frictionless(0.35, 8000), frictionless(0.35, 4000), 'relative', ...
    250 * t.^2, 500 * t);
pass = abs(error_mm(end, 2) / error_mm(end, 1) - 2) < 1e-6;
end

function pass = friction_offset()
% Constant speed leaves exactly F / k, against the direction of motion.
t = (0:4000)' / 2000;
axis = jaxcorr.axis_plant(0.35, 8000, 15, 0.8);
forth = follow(axis, axis, 'relative', 50 * t, 50 * ones(size(t)));
back = follow(axis, axis, 'relative', -50 * t, -50 * ones(size(t)));
pass = all(abs(forth(end, :) + 0.1) < 1e-9) && all(abs(back(end, :) - 0.1) < 1e-9);
end

function pass = damping_to_ground()
% Constant speed leaves c v / k.
t = (0:4000)' / 2000;
error_mm = follow(frictionless(0.35, 8000), frictionless(0.45, 8000), 'ground', ...
    100 * t, 100 * ones(size(t)));
pass = all(abs(error_mm(end, :) + 15 * 100 / 8000) < 1e-9);
end

function pass = two_modes_ring()
% At once to a constant speed: the sum of both modes' closed forms by their shares.
second = struct('second_frequency_hz', 70, 'second_damping_ratio', 0.05, 'second_share', 0.3, ...
    'stiff_share', 0);
axis = jaxcorr.axis_plant(0.35, 8000, 15, 0, second);
matrices = jaxcorr.plant_matrices(jaxcorr.plant_options(axis, axis, 2, 'relative', 2000));
t = (0:1000)' / 2000;
error_mm = jaxcorr.run_plant(matrices, zeros(8, 1), 1, 10 * t .* [1 1], ...
    10 * ones(numel(t), 2), 1);
w = [sqrt(8000 / 0.35), 2 * pi * 70];
z = [15 / (2 * sqrt(8000 * 0.35)), 0.05];
wd = w .* sqrt(1 - z.^2);
exact = -10 * (exp(-t * (z .* w)) .* sin(t * wd) ./ wd) * [0.7; 0.3];
wrong = error_mm - exact(2:end);
pass = max(abs(wrong(:))) < 1e-9;
end

function pass = belts_stretch()
% Constant speed leaves F / k in each belt of a CoreXY, constant acceleration half of the force.
plant = jaxcorr.plant_options(jaxcorr.axis_plant(0.35, 8000, 15, 0.8), ...
    jaxcorr.axis_plant(0.45, 6000, 9, 0.3), 2, 'relative', 2000, 'corexy');
t = (0:6000)' / 2000;
error_mm = run_both(plant, t * [70 20], ones(size(t)) * [70 20]);
steady = jaxcorr.to_motors(plant, error_mm(end, :));
plant.x.friction_n = 0;
plant.y.friction_n = 0;
error_mm = run_both(plant, t.^2 * [200 0], t * [400 0]);
pulled = jaxcorr.to_motors(plant, error_mm(end, :));
pass = max(abs(steady + [0.8 / 8, 0.3 / 6])) < 1e-9 ...
    && max(abs(pulled + 0.35 * 400 / 2 ./ [8000 6000])) < 1e-9;
end

function pass = diagonal_turns_one_motor()
% Along x = y the motor of x - y stands still: no friction, microstep or jitter of its own.
program = jaxcorr.parse_gcode(sprintf('M83\nG1 X0 Y0 F6000\nG1 X20 Y20 E1\n'), 'p');
options = jaxcorr.simulate_options('kinematics', 'corexy', 'mass_kg', 0.4, 'floor_um', 0);
fields = jaxcorr.simulate_layer(program, 1, options, 'part');
pass = max(abs(fields.error_x - fields.error_y)) < 1e-9 && max(abs(fields.error_x)) > 0.04;
end

function pass = printed_mass_slows_the_bed()
% A metre of filament weighs 2.983 g.
program = jaxcorr.parse_gcode( ...
    sprintf('M83\n;LAYER:0\nG1 X9 E1000 F600\n;LAYER:1\nG1 Z1\nG1 X0 E1\n'), 'p');
options = jaxcorr.simulate_options('bed_axis', 'y');
loaded = jaxcorr.load_bed(options, program, 2);
empty = jaxcorr.load_bed(options, program, 1);
pass = abs(loaded.plant.y.mass_kg - 0.452983) < 1e-6 && loaded.plant.x.mass_kg == 0.35 ...
    && isequal(empty.plant, options.plant);
end

function pass = in_pieces()
% Two runs with the state handed on are one run, sample by sample.
t = (0:400)' / 2000;
r = 5 * sin(20 * t);
v = 100 * cos(20 * t);
matrices = jaxcorr.plant_matrices(jaxcorr.plant_options());
run = @(state, index) jaxcorr.run_plant(matrices, state, 1, r(index) .* [1 1], ...
    v(index) .* [1 1], 20);
start = v(1) * [0; 1; 0; 1];
whole = run(start, 1:401);
[first, state] = run(start, 1:201);
pass = isequal(whole, [first; run(state, 201:401)]) && isequal(size(whole), [20 2]);
end

function pass = finer_steps_agree()
% 2000 Hz is within 0.5 um of 8000 Hz on a path that stops and turns under friction.
r = @(t) 5 * sin(20 * t);
v = @(t) 100 * cos(20 * t);
error_mm = cell(1, 2);
rates = [2000 8000];
for k = 1:2
    t = (0:2 * rates(k))' / rates(k);
    plant = jaxcorr.plant_options();
    plant.rate_hz = rates(k);
    error_mm{k} = jaxcorr.run_plant(jaxcorr.plant_matrices(plant), [0; 100; 0; 100], 1, ...
        r(t) .* [1 1], v(t) .* [1 1], rates(k) / 100);
end
wrong = error_mm{1} - error_mm{2};
pass = max(abs(wrong(:))) < 5e-4 && max(abs(error_mm{1}(:))) > 0.09;
end

function pass = microstep_slope()
r = (0:0.001:2)';
[d, slope] = jaxcorr.microstep(r, 0.004);
h = 1e-6;
numeric = (jaxcorr.microstep(r + h, 0.004) - jaxcorr.microstep(r - h, 0.004)) / (2 * h);
repeated = jaxcorr.microstep(r + 0.8, 0.004);
pass = max(abs(numeric - slope)) < 1e-6 && max(abs(d)) < 0.008 && max(abs(d - repeated)) < 1e-12;
end

function pass = lateness_is_bounded()
late_s = jaxcorr.timer_lateness(5000, 50);
limit = 50 / 72e6;
pass = isequal(size(late_s), [5000 2]) && max(abs(late_s(:))) <= limit ...
    && max(late_s(:)) > 0.99 * limit && abs(mean(late_s(:))) < 0.05 * limit;
end

function pass = floor_has_its_rms()
% And nothing much above its bandwidth: neighbours at 2000 Hz are alike.
noise_mm = jaxcorr.floor_noise(200000, 0.002, 30, 2000);
rms_mm = sqrt(mean(noise_mm.^2));
step_mm = sqrt(mean(diff(noise_mm).^2));
pass = all(abs(rms_mm / 0.002 - 1) < 0.05) && all(step_mm < 0.1 * rms_mm);
end

function fields = simulate(varargin)
text = sprintf('M83\nG1 X30 Y10 E1 F6000\nG1 X35 Y40 E1\nG1 X0 Y0 F3000\nG1 X20 E1\n');
options = jaxcorr.simulate_options(varargin{:});
fields = jaxcorr.simulate_layer(jaxcorr.parse_gcode(text, 'p'), 1, options, 'part');
end

function pass = sources_add_up()
fields = simulate();
total = 0;
for source = jaxcorr.source_names()
    total = total + fields.([source{1} '_x']);
end
pass = max(abs(total - fields.error_x)) < 1e-12 ...
    && max(abs(fields.x_act - fields.x_ref - fields.error_x)) < 1e-12 ...
    && all(jaxcorr.rms_by_source(fields) > 0);
end

function pass = sources_switch_off()
names = jaxcorr.source_names();
all_on = jaxcorr.rms_by_source(simulate());
pass = true;
for k = 1:numel(names)
    rms_um = jaxcorr.rms_by_source(simulate('off', names{k}));
    pass = pass && rms_um(k + 1) == 0 && all(rms_um([2:k, k + 2:end]) > 0) ...
        && rms_um(1) ~= all_on(1);
end
nothing = simulate('off', names);
pass = pass && all(nothing.error_x == 0) && all(nothing.error_y == 0);
end

function pass = seed_decides()
before = rng();
first = simulate('seed', 1);
again = simulate('seed', 1);
other = simulate('seed', 2);
pass = isequal(first, again) && ~isequal(first.error_x, other.error_x) ...
    && isequal(first.friction_x, other.friction_x) && isequal(rng(), before);
end

function pass = verdict_of_the_standard_trajectory()
said = evalc('test_firmware_effects_simple()');
pass = ~isempty(regexp(said, 'RMS error 1[2345][0-9]\.[0-9] um.*: PASS', 'once'));
end

function pass = refusals()
option = @(varargin) @() jaxcorr.simulate_options(varargin{:});
pass = is_refused(option('mass_kg', -1), 'jaxcorr:plant:badAxis', 'expected mass_kg > 0') ...
    && is_refused(option('kinematics', 'delta'), 'jaxcorr:plant:badKinematics', '''delta''') ...
    && is_refused(option('second_share', 0.2), 'jaxcorr:plant:badAxis', 'second_frequency_hz') ...
    && is_refused(option('bed_axis', 'z'), 'jaxcorr:options:badValue', 'bed_axis') ...
    && is_refused(option('damping', 'air'), 'jaxcorr:plant:badDamping', '''air''') ...
    && is_refused(option('friction_n', 50), 'jaxcorr:plant:badRate', 'expected rate_hz >= ') ...
    && is_refused(option('mass', 1), 'jaxcorr:options:unknownName', 'unknown name ''mass''') ...
    && is_refused(option('mass_kg'), 'jaxcorr:options:noValue', 'in pairs') ...
    && is_refused(option('off', 'ghost'), 'jaxcorr:options:badSource', '''ghost''') ...
    && is_refused(option('rate_hz', 300), 'jaxcorr:options:badValue', 'divide') ...
    && is_refused(option('knot_rate_hz', 30), 'jaxcorr:options:badValue', 'divide 100') ...
    && is_refused(option('floor_hz', 1000), 'jaxcorr:options:badValue', 'floor_hz < 1000');
end
