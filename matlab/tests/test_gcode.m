function [pass, names] = test_gcode()
%TEST_GCODE   Tests of the G-code parser.
%   PASS = TEST_GCODE() returns a logical vector, true where a check passed.
%   [PASS, NAMES] = TEST_GCODE() also returns the names of the checks.
%
%   See also RUN_TESTS, JAXCORR.PARSE_GCODE.

[pass, names] = run_checks({@absolute_moves, @fast_and_slow_path_agree, @relative_moves, ...
    @relative_extrusion, @inches, @offset_of_coordinates, @homing, @feedrate_factor, @dwells, ...
    @limits_in_force, @junction_deviation_replaces_jerk, @full_circle, @arc_by_radius, @helix, ...
    @layers_by_comment, @layers_by_z, @end_code_is_no_layer, @features_by_label, ...
    @slicer_and_unknown_commands, @line_ends_and_case, @checksum, @malformed_lines, ...
    @nothing_to_move, @compressed_file, @what_a_printer_passes_over, @settings_of_firmwares, ...
    @firmware_retraction, @sequential_prints, @spiral_by_height, @layers_of_other_slicers});
end

function program = parse(varargin)
program = jaxcorr.parse_gcode(strjoin(varargin, sprintf('\n')), 'part.gcode');
end

function is_near = near(a, b)
is_near = isequal(size(a), size(b)) && all(abs(a(:) - b(:)) < 1e-9);
end

function pass = absolute_moves()
p = parse('G1 X10 Y20 Z.2 F6000', 'G1 X30 E1.5', 'G1 X30 Y20', 'G1 F1200', 'G1 Y-1.5');
pass = near(p.start_mm, [0 0 0; 10 20 0.2; 30 20 0.2]) ...
    && near(p.end_mm, [10 20 0.2; 30 20 0.2; 30 -1.5 0.2]) && near(p.extrude_mm, [0; 1.5; 0]) ...
    && near(p.feedrate_mm_s, [100; 100; 20]) && isequal(p.line, [1; 2; 5]);
end

function pass = fast_and_slow_path_agree()
lines = {'M83', 'G1 X10 Y20.125 F6000', 'G1 X30.5 E1.5', 'G1 F1200', 'G1 X31 E.25', 'G1 E-3', ...
    'M82', 'G92 E0', 'G1 X2 E3', 'G1 Y1', 'G1 X5 E4.5 F900'};
fast = parse(lines{:});
slow_lines = regexprep(lines, '^G1', 'g01 ');
slow = parse(slow_lines{:});
names = fieldnames(fast);
pass = all(cellfun(@(name) isequaln(fast.(name), slow.(name)), names)) && numel(fast.line) == 7;
end

function pass = relative_moves()
p = parse('G1 X10', 'G91', 'G1 X5 Y1', 'G1 X5 Y1 E2', 'G90', 'G1 X0');
pass = near(p.end_mm(:, 1), [10; 15; 20; 0]) && near(p.extrude_mm, [0; 0; 2; 0]);
end

function pass = relative_extrusion()
p = parse('M82', 'G1 X1 E1', 'G1 X2 E3', 'M83', 'G1 X3 E1', 'G92 E0', 'M82', 'G1 X4 E.5');
pass = near(p.extrude_mm, [1; 2; 1; 0.5]);
end

function pass = inches()
p = parse('G20', 'G1 X1 Y2 F60', 'G21', 'G1 X1');
pass = near(p.end_mm(:, 1:2), [25.4 50.8; 1 50.8]) && near(p.feedrate_mm_s, [25.4; 25.4]);
end

function pass = offset_of_coordinates()
p = parse('G1 X10', 'G92 X0', 'G1 X5', 'G92.1', 'G1 X5');
pass = near(p.end_mm(:, 1), [10; 15; 5]) && near(p.start_mm(2, 1), 10);
end

function pass = homing()
p = parse('G1 X10 Y5 Z2', 'G28 X', 'G1 Y6', 'G28', 'G1 X1');
pass = near(p.start_mm, [0 0 0; 0 5 2; 0 0 0]) && near(p.dwell_s, [0; 1e-9; 1e-9]);
end

function pass = feedrate_factor()
p = parse('G1 X1 F6000', 'M220 B', 'M220 S50', 'G1 X2', 'G1 X3 F1200', 'M220 R', 'G1 X4');
pass = near(p.feedrate_mm_s, [100; 50; 10; 20]);
end

function pass = dwells()
p = parse('G1 X1', 'G4 P500', 'G4 S2', 'G1 X2', 'M400', 'G1 X3', 'G4 S9');
pass = near(p.dwell_s, [0; 2.5; 1e-9]) && p.end_dwell_s == 9;
end

function pass = limits_in_force()
p = parse('G1 X1', 'M204 P400', 'M201 X1000', 'G1 X2', 'M204 S900 T700', 'M203 Z7', 'G1 X3');
in_force = p.limits(p.limits_index);
pass = isequal([in_force.print_accel_mm_s2], [500 400 900]) ...
    && isequal([in_force.travel_accel_mm_s2], [500 500 700]) ...
    && isequal(in_force(2).max_accel_mm_s2, [1000 500 100 5000]) ...
    && isequal(in_force(3).max_feedrate_mm_s, [500 500 7 25]);
end

function pass = junction_deviation_replaces_jerk()
p = parse('M205 J0.013', 'G1 X1', 'M205 X8 Y8', 'G1 X2');
in_force = p.limits(p.limits_index);
pass = in_force(1).junction_deviation_mm == 0.013 && all(isnan(in_force(1).classic_jerk_mm_s)) ...
    && isnan(in_force(2).junction_deviation_mm) ...
    && isequal(in_force(2).classic_jerk_mm_s, [8 8 0.4 5]);
end

function pass = full_circle()
p = parse('G1 X20 Y0', 'G2 I-10 E6.2');
chord = sqrt(sum((p.end_mm(2:end, :) - p.start_mm(2:end, :)).^2, 2));
radius = sqrt((p.end_mm(2:end, 1) - 10).^2 + p.end_mm(2:end, 2).^2);
pass = numel(chord) == 62 && all(abs(radius - 10) < 1e-8) && abs(sum(chord) - 20 * pi) < 0.05 ...
    && p.end_mm(2, 2) < 0 && abs(sum(p.extrude_mm) - 6.2) < 1e-6 ...
    && near(p.end_mm(end, :), [20 0 0]);
end

function pass = arc_by_radius()
short = parse('G1 X10', 'G3 X0 Y10 R10');
long = parse('G1 X10', 'G3 X0 Y10 R-10');
about = @(p, centre) abs(sqrt(sum((p.end_mm(2:end, 1:2) - centre).^2, 2)) - 10) < 1e-8;
pass = all(about(short, [0 0])) && all(about(long, [10 10])) ...
    && size(long.end_mm, 1) > 2.5 * size(short.end_mm, 1);
end

function pass = helix()
p = parse('G1 X10 Z1', 'G3 X10 Y0 Z3 I-10 J0');
pass = near(p.end_mm(end, :), [10 0 3]) && all(abs(diff(p.end_mm(2:end, 3), 2)) < 1e-8);
end

function pass = layers_by_comment()
p = parse('G1 X1 E1', ';LAYER_CHANGE', ';Z:0.2', 'G1 Z.2', 'G1 X2 E1.5', ';LAYER_CHANGE', ...
    ';Z:0.4', 'G1 Z.4', 'G1 X3 E2');
pass = isequal(p.layer, [0; 1; 1; 2; 2]) && near(p.layer_z_mm, [0.2; 0.4]);
end

function pass = layers_by_z()
% A hop to the same height is no layer.
p = parse('M83', 'G1 Z.2', 'G1 X10 E1', 'G1 Z.6', 'G1 X0', 'G1 Z.2', 'G1 X5 E1', 'G1 Z.4', ...
    'G1 X0 E1');
pass = isequal(p.layer, [1; 1; 1; 1; 1; 1; 2; 2]) && near(p.layer_z_mm, [0.2; 0.4]);
end

function pass = end_code_is_no_layer()
p = parse('M83', ';LAYER:0', 'G1 Z.2', 'G1 X10 E1', 'G1 E-3', 'G1 X0 Y200');
pass = isequal(p.layer, [1; 1; 0; 0]);
end

function pass = features_by_label()
names = jaxcorr.features();
p = parse('M83', ';TYPE:External perimeter', 'G1 X1 E1', ';TYPE:WALL-INNER', 'G1 X2 E1', ...
    '; FEATURE: Sparse infill', 'G1 X3 E1', ';TYPE:Nonsense', 'G1 X4 E1', 'G1 X5', 'G1 E-1');
expected = {'outer_wall', 'inner_wall', 'infill', 'unknown', 'travel', 'retraction'};
pass = isequal(names(p.feature), expected);
end

function pass = slicer_and_unknown_commands()
p = parse('; generated by PrusaSlicer 2.5.0', 'G1 X1', 'G5 X2', 'M104 S200', 'T0', 'MACRO A=1', ...
    'G5 X3', 'M862.3 P1');
pass = strcmp(p.slicer, 'PrusaSlicer') ...
    && isequal(sort(p.unknown_commands(:))', {'G5', 'G5', 'MACRO'});
end

function pass = line_ends_and_case()
text = sprintf('%sG1 X1\r\ng1x2y3\rG01 Y4 (inline) Z5 ; G1 X9\n\nN7 G1 X6\n', char([239 187 191]));
p = jaxcorr.parse_gcode(text, 'part.gcode');
pass = near(p.end_mm, [1 0 0; 2 3 0; 2 4 5; 6 4 5]) && isequal(p.line, [1; 2; 3; 5]);
end

function pass = checksum()
p = parse('N3 T0*57', 'G1 X1');
pass = numel(p.line) == 1 && is_refused(@() parse('N3 T0*58', 'G1 X1'), ...
    'jaxcorr:gcode:badChecksum', 'part.gcode:1: expected checksum 57, got 58 in ''N3 T0*58''.');
end

function pass = malformed_lines()
cases = { ...
    'G1 X1 X2', 'badWord', 'expected X once, got it twice'
    'G1 X', 'badWord', 'expected a number after X'
    'G1 X1.2.3', 'badWord', 'expected a number after X'
    'G1 Q1', 'badWord', 'expected only words of X Y Z E F S H P, got Q'
    'G1 X1 &', 'badWord', 'expected a word such as X10, got ''&'''
    'X10 Y2', 'badCommand', 'expected a command such as G1, got'
    'G1 X20000', 'outOfBounds', 'expected X within +-10000 mm, got 20000 mm'
    'G2 X5', 'badArc', 'expected the centre as I and J or the radius as R, got neither'
    'G18', 'badPlane', 'expected arcs in the XY plane'
    'G90 G1 X1', 'badWord', 'expected one command in a line'
    'G4 P-1', 'badWord', 'expected a pause'
    'G3 R5', 'badArc', 'expected an end that differs from the start with R'};
pass = true;
for k = 1:size(cases, 1)
    text = sprintf('G1 X3\n%s', cases{k, 1});
    refused = @(part) is_refused(@() jaxcorr.parse_gcode(text, 'part.gcode'), ...
        ['jaxcorr:gcode:' cases{k, 2}], part);
    pass = pass && refused(cases{k, 3}) && refused('part.gcode:2: ') ...
        && refused([' in ''' cases{k, 1} '''.']);
end
end

function pass = nothing_to_move()
pass = is_refused(@() parse('; nothing', 'M104 S200'), 'jaxcorr:gcode:noMoves', 'got 2 lines') ...
    && is_refused(@() parse(''), 'jaxcorr:gcode:noMoves', 'at least one move') ...
    && is_refused(@() jaxcorr.parse_gcode(['G1 X1' char([10 0])], 'p'), 'jaxcorr:gcode:binary', ...
    'p:2: expected G-code as text') ...
    && is_refused(@() jaxcorr.read_gcode('missing.gcode'), 'jaxcorr:gcode:noFile', 'missing.gcode');
end

function pass = compressed_file()
folder = tempname();
mkdir(folder);
plain = fullfile(folder, 'tiny.gcode');
file = fopen(plain, 'w');
fprintf(file, 'G1 X1\nG1 Y2\n');
fclose(file);
packed = gzip(plain, folder);
expected = jaxcorr.read_gcode(plain);
pass = isequaln(jaxcorr.read_gcode(packed{1}), expected) && numel(expected.line) == 2;
delete(fullfile(folder, '*'));
rmdir(folder);
end

function pass = what_a_printer_passes_over()
p = parse('G1 F6000', 'P0 S1', '@HOST a', '//M85', '%', 'F100', 'G1 X1 F0', 'G1 X2 F-nan(ind)', ...
    'G1 X3*99', 'M203 80', 'M204 P0', 'M220 S0', 'T-1', 'G1 X4 F99999999999');
pass = near(p.end_mm(:, 1), [1; 2; 3; 4]) && near(p.feedrate_mm_s, [100; 100; 100; 1e7 / 60]) ...
    && isequal(p.unknown_commands(:)', {'P0', '@HOST', '//M85', '%', 'F100', 'T-1'}) ...
    && isequaln(p.limits(end), jaxcorr.ender3_v2());
end

function pass = settings_of_firmwares()
last = @(p) p.limits(p.limits_index(end));
k = parse('SET_VELOCITY_LIMIT ACCEL=900 VELOCITY=50 MINIMUM_CRUISE_RATIO=.25', 'M204 P700 T300', ...
    'M201 X5', 'G1 X1');
r = parse('; gcode_flavor = reprapfirmware', 'M203 X3000 E1200:1800', 'M566 X480', 'G1 X1');
m = jaxcorr.parse_gcode(sprintf('SET_VELOCITY_LIMIT ACCEL=9\nG1 X1'), 'p', 'marlin2.1');
kl = last(k);
rl = last(r);
pass = strcmp(k.firmware, 'klipper') && kl.travel_accel_mm_s2 == 300 ...
    && kl.max_velocity_mm_s == 50 && kl.minimum_cruise_ratio == 0.25 ...
    && all(isinf(kl.max_accel_mm_s2)) && isequal(k.unknown_commands, {'M201'}) ...
    && rl.max_feedrate_mm_s(1) == 50 && rl.max_feedrate_mm_s(4) == 20 ...
    && rl.classic_jerk_mm_s(1) == 8 && rl.is_jerk_of_difference ...
    && isequal(m.unknown_commands, {'SET_VELOCITY_LIMIT'}) ...
    && is_refused(@() jaxcorr.parse_gcode('G1 X1', 'p', 'grbl'), 'jaxcorr:gcode:badFirmware', ...
    'expected one of marlin2.0');
end

function pass = firmware_retraction()
p = parse('M207 S2 F1200 Z.4', 'M208 S.5 F600', 'G1 Z1', 'G10', 'G10', 'G1 X5', 'G11', 'G11');
pass = near(p.extrude_mm, [0; -2; 0; 0; 0; 2.5]) ...
    && near(p.end_mm(:, 3), [1; 1; 1.4; 1.4; 1; 1]) && near(p.feedrate_mm_s([2 6]), [20; 10]);
end

function pass = sequential_prints()
p = parse('M83', ';LAYER:0', 'G1 X1 E1', ';LAYER:0', 'G1 X2 E1', ';LAYER:1', 'G1 X1', ...
    ';LAYER:2', 'G1 X3 E1');
pass = isequal(p.layer, [1; 2; 2; 3]);
end

function pass = spiral_by_height()
turns = arrayfun(@(k) sprintf('G1 X%d Z%.2f E1', k, 0.2 + k / 100), 1:40, 'UniformOutput', false);
p = parse('M83', 'G1 Z.2', 'G1 X0 Y9 E1', turns{:});
pass = near(p.layer_z_mm, [0.2; 0.21; 0.41]) && nnz(p.layer == 2) == 20;
end

function pass = layers_of_other_slicers()
p = parse('M83', 'G1 Z.1', 'G1 X90 E9', '; layer 1, Z = 0.2', 'G1 Z.2', 'G1 X1 E1', ...
    '; feature infill', '; layer 2, Z = 0.4', 'G1 Z.4', 'G1 X2 Y2 E1');
names = jaxcorr.features();
pass = near(p.layer_z_mm, [0.2; 0.4]) && strcmp(names{p.feature(end)}, 'infill');
end
