function options = simulate_options(varargin)
%SIMULATE_OPTIONS   How layers are simulated; all of it ends up in the params of a trace.
%   OPTIONS = SIMULATE_OPTIONS() returns the defaults: the Ender-3 V2, every source on.
%   OPTIONS = SIMULATE_OPTIONS(NAME, VALUE, ...) or SIMULATE_OPTIONS(STRUCT) changes some of
%
%     mass_kg                 moved mass, [x y]; a number stands for both    default [0.35 0.45]
%     stiffness_n_m           of the belts, [x y]                                           8000
%     damping_ns_m            [x y]                                                           15
%     friction_n              of belts and guides, [x y]                                     0.8
%     friction_velocity_mm_s  where friction has three quarters of its force                   2
%     damping                 'relative' (between motor and head) or 'ground'         'relative'
%     kinematics              'cartesian', or 'corexy': motors and belts of x + y
%                             and x - y, whose stiffness, damping and friction these
%                             are                                                   'cartesian'
%     second_share            of the motion, a second mode's, [x y]; 0 for none                0
%     second_frequency_hz, second_damping_ratio
%                             of the second mode, [x y]                                  0, 0.08
%     stiff_share             of the motion, what follows the motor stiffly, [x y]             0
%     bed_axis                'x' or 'y': what is printed moves with it; '' for none          ''
%     filament_diameter_mm, filament_density_g_cm3
%                             for the mass of what is printed                         1.75, 1.24
%     plant_rate_hz           of the integration                                            2000
%     off                     cell array of sources that are switched off                     {}
%     microstep_um            amplitude of each of its two periods                             4
%     jitter_cycles           half range of a step pulse's lateness, at 72 MHz                50
%     floor_um, floor_hz      RMS per axis of the noise floor, and its bandwidth           2, 30
%     rate_hz                 of the trace; divides plant_rate_hz                            100
%     knot_rate_hz            of a probe's knots; divides rate_hz                        rate_hz
%     seed                    of the random numbers                                            0
%     accel_mm_s2             in place of the G-code's                                       NaN
%     velocity_mm_s           likewise, of moves along XY                                    NaN
%     sweep_accel_mm_s2       vector: each layer once per value                               []
%     sweep_velocity_mm_s     likewise; together they make a grid                             []
%     probe_um                vector: each layer once more per value, its command
%                             off the reference by random knots of this RMS                   []
%     junction_deviation_mm, square_corner_velocity_mm_s, classic_jerk_mm_s
%                             cornering in place of the G-code's, one of them                NaN
%     output                  folder that the traces' folder goes into                      pwd
%
%   Sources are junction_deviation, resonance, friction, microstep, jitter and floor; the last two
%   are random. In OPTIONS both axes are spelled out in plant, and plan has PLAN_OPTIONS.
%
%   See also COLLECT_DATA, PLANT_OPTIONS, PLAN_OPTIONS.

given = with_defaults(varargin{:});
plant = jaxcorr.plant_options(axis_of(given, 1), axis_of(given, 2), ...
    given.friction_velocity_mm_s, given.damping, given.plant_rate_hz, given.kinematics);
plan = jaxcorr.plan_options('junction_deviation_mm', given.junction_deviation_mm, ...
    'square_corner_velocity_mm_s', given.square_corner_velocity_mm_s, ...
    'classic_jerk_mm_s', given.classic_jerk_mm_s, 'accel_mm_s2', given.accel_mm_s2, ...
    'velocity_mm_s', given.velocity_mm_s);
if isnan(given.knot_rate_hz)
    given.knot_rate_hz = given.rate_hz;
end
check(given);
sources = jaxcorr.source_names();
sources = sources(~ismember(sources, cellstr(given.off)));
options = struct('plan', plan, 'plant', plant, 'sources', {sources}, ...
    'microstep_um', given.microstep_um, 'jitter_cycles', given.jitter_cycles, ...
    'floor_um', given.floor_um, 'floor_hz', given.floor_hz, 'rate_hz', given.rate_hz, ...
    'knot_rate_hz', given.knot_rate_hz, ...
    'every', round(given.plant_rate_hz / given.rate_hz), 'seed', given.seed, ...
    'sweep_accel_mm_s2', given.sweep_accel_mm_s2, ...
    'sweep_velocity_mm_s', given.sweep_velocity_mm_s, 'probe_um', given.probe_um, ...
    'bed_axis', given.bed_axis, 'filament_diameter_mm', given.filament_diameter_mm, ...
    'filament_density_g_cm3', given.filament_density_g_cm3, 'output', given.output);
end

function axis = axis_of(given, k)
% X is 1, y is 2. Its modes are told only where there is more than one.
pick = @(name) given.(name)(min(k, numel(given.(name))));
own = cellfun(pick, {'mass_kg', 'stiffness_n_m', 'damping_ns_m', 'friction_n'}, ...
    'UniformOutput', false);
axis = {};
if any([given.second_share(:); given.stiff_share(:)])
    names = {'second_frequency_hz', 'second_damping_ratio', 'second_share', 'stiff_share'};
    axis = {cell2struct(cellfun(pick, names, 'UniformOutput', false), names, 2)};
end
axis = jaxcorr.axis_plant(own{:}, axis{:});
end

function given = with_defaults(varargin)
given = struct('mass_kg', [0.35 0.45], 'stiffness_n_m', 8000, 'damping_ns_m', 15, ...
    'friction_n', 0.8, 'friction_velocity_mm_s', 2, 'damping', 'relative', ...
    'kinematics', 'cartesian', 'second_share', 0, 'second_frequency_hz', 0, ...
    'second_damping_ratio', 0.08, 'stiff_share', 0, 'bed_axis', '', ...
    'filament_diameter_mm', 1.75, 'filament_density_g_cm3', 1.24, ...
    'plant_rate_hz', 2000, 'off', {{}}, 'microstep_um', 4, ...
    'jitter_cycles', 50, 'floor_um', 2, 'floor_hz', 30, 'rate_hz', 100, 'knot_rate_hz', NaN, 'seed', 0, ...
    'accel_mm_s2', NaN, 'velocity_mm_s', NaN, 'sweep_accel_mm_s2', [], ...
    'sweep_velocity_mm_s', [], 'probe_um', [], 'junction_deviation_mm', NaN, ...
    'square_corner_velocity_mm_s', NaN, 'classic_jerk_mm_s', NaN, 'output', pwd());
pairs = varargin;
if numel(pairs) == 1 && isstruct(pairs{1})
    pairs = [fieldnames(pairs{1})'; struct2cell(pairs{1})'];
elseif mod(numel(pairs), 2)
    error('jaxcorr:options:noValue', ...
        'options: expected names and values in pairs, got %d arguments. Add the value.', ...
        numel(pairs));
end
for k = 1:2:numel(pairs)
    if ~ischar(pairs{k}) || ~isfield(given, pairs{k})
        error('jaxcorr:options:unknownName', ...
            'options: unknown name %s. Known names: %s.', ...
            jaxcorr.quote(num2str(pairs{k})), strjoin(sort(fieldnames(given))', ', '));
    end
    given.(pairs{k}) = pairs{k + 1};
end
end

function check(given)
unknown = setdiff(cellstr(given.off), [jaxcorr.source_names(), {''}]);
if ~isempty(unknown)
    error('jaxcorr:options:badSource', 'simulate: expected off among %s, got %s. %s', ...
        strjoin(jaxcorr.source_names(), ', '), jaxcorr.quote(unknown{1}), 'Check its name.');
end
for name = {'microstep_um', 'jitter_cycles', 'floor_um', 'seed'}
    value = given.(name{1});
    if ~(isscalar(value) && value >= 0)
        error('jaxcorr:options:badValue', 'simulate: expected %s >= 0, got %s. Check its sign.', ...
            name{1}, mat2str(value));
    end
end
for name = {'sweep_accel_mm_s2', 'sweep_velocity_mm_s'}
    value = given.(name{1});
    if ~isnumeric(value) || ~all(value(:) > 0 & isfinite(value(:)))
        error('jaxcorr:options:badValue', ...
            'simulate: expected %s > 0, got %s. Check its values.', name{1}, mat2str(value));
    end
end
if ~any(strcmp(given.bed_axis, {'', 'x', 'y'}))
    error('jaxcorr:options:badValue', ...
        'simulate: expected bed_axis ''x'', ''y'' or '''', got %s. Choose one of them.', ...
        jaxcorr.quote(given.bed_axis));
end
is_probe = given.probe_um > 0 & given.probe_um <= 1000;
if ~isnumeric(given.probe_um) || ~all(is_probe(:))
    error('jaxcorr:options:badValue', ...
        'simulate: expected 0 < probe_um <= 1000, got %s. Check its unit.', ...
        mat2str(given.probe_um));
end
if ~(given.floor_hz > 0 && given.floor_hz < given.plant_rate_hz / 2)
    error('jaxcorr:options:badValue', ...
        'simulate: expected 0 < floor_hz < %g, got %g. Choose a lower cut-off.', ...
        given.plant_rate_hz / 2, given.floor_hz);
end
if ~(given.rate_hz > 0 && mod(given.plant_rate_hz, given.rate_hz) == 0)
    error('jaxcorr:options:badValue', ...
        'simulate: expected rate_hz to divide the plant''s %g Hz, got %g. Choose another rate.', ...
        given.plant_rate_hz, given.rate_hz);
end
if ~(given.knot_rate_hz > 0 && mod(given.rate_hz, given.knot_rate_hz) == 0)
    error('jaxcorr:options:badValue', ...
        'simulate: expected knot_rate_hz to divide %g Hz, got %g. Choose another rate.', ...
        given.rate_hz, given.knot_rate_hz);
end
end
