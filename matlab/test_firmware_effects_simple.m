function test_firmware_effects_simple(varargin)
%TEST_FIRMWARE_EFFECTS_SIMPLE   Checks the size of the error on the standard trajectory.
%   TEST_FIRMWARE_EFFECTS_SIMPLE() simulates lines, corners of 90 and 45 degrees, an arc and a
%   circle, prints the RMS of the error in total and of each source in micrometres, and raises an
%   error where the total is not within 10% of the expected 140 um.
%
%   TEST_FIRMWARE_EFFECTS_SIMPLE(NAME, VALUE, ...) does so with other options than the defaults of
%   'help jaxcorr.simulate_options'.
%
%   See also COLLECT_ALL, RUN_TESTS.

expected_um = 140;
options = jaxcorr.simulate_options(varargin{:});
program = jaxcorr.read_gcode(jaxcorr.find_part('standard_trajectory'));
fields = jaxcorr.simulate_layer(program, 1, options, 'standard_trajectory');
[rms_um, names] = jaxcorr.rms_by_source(fields);
fprintf('standard trajectory, %.1f s, RMS of the error:\n', fields.time(end));
for k = 1:numel(names)
    fprintf('  %-20s %8.3f um\n', names{k}, rms_um(k));
end
is_good = abs(rms_um(1) - expected_um) <= 0.1 * expected_um;
verdicts = {'FAIL', 'PASS'};
fprintf('RMS error %.1f um, expected about %g um (%g to %g): %s\n', rms_um(1), expected_um, ...
    0.9 * expected_um, 1.1 * expected_um, verdicts{1 + is_good});
if ~is_good
    error('jaxcorr:verify:unexpectedError', ...
        'standard trajectory: expected %g to %g um RMS, got %.1f um. Check the options.', ...
        0.9 * expected_um, 1.1 * expected_um, rms_um(1));
end
end
