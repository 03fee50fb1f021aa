function [pass, names] = test_predict()
%TEST_PREDICT   Tests of the predictor's stream on models made by hand.
%   PASS = TEST_PREDICT() returns a logical vector, true where a check passed.
%   [PASS, NAMES] = TEST_PREDICT() also returns the names of the checks.
%
%   See also RUN_TESTS, PREDICT_ERROR.

[pass, names] = run_checks({@counts_samples_in_closed_form, @pieces_equal_the_whole, ...
    @starts_again, @no_samples_change_nothing, @differences_are_zero_at_first, ...
    @raw_inputs_with_phases, @path_in_closed_form, @path_pieces_equal_the_whole, ...
    @no_error_passes_the_limit, ...
    @bad_samples_leave_the_state, @bad_files});
end

function pass = counts_samples_in_closed_form()
% Gates wide open and tanh(z) = 1/2 add a half to c with each sample, so h = tanh(t / 2).
model = make_model();
model.layers = model.layers(1);
layer = model.layers{1};
layer.input_kernel = 0 * layer.input_kernel;
layer.recurrent_kernel = 0 * layer.recurrent_kernel;
layer.bias = repelem([40 40 atanh(0.5) 40], 3);
model.layers{1} = layer;
model.head_kernel = [1 0; 0 2; 0 0];
e = predict_error(start(model), walk(20));
h = tanh((1:20)' / 2);
expected = [h, 2 * h + 1] .* [0.1 0.2] + [0.01 0.02];
pass = max(abs(e(:) - expected(:))) < 1e-14;
end

function pass = pieces_equal_the_whole()
samples = walk(30);
state = start(make_model());
[whole, last] = predict_error(state, samples);
parts = zeros(size(whole));
for t = 1:10
    [parts(t, :), state] = predict_error(state, samples(t, :));
end
[parts(11:30, :), state] = predict_error(state, samples(11:30, :));
pass = max(abs(whole(:) - parts(:))) < 1e-14 && std(whole(:, 1)) > 1e-4 ...
    && max(abs(state.c{2} - last.c{2})) < 1e-14 && isequal(state.previous, last.previous);
end

function pass = starts_again()
samples = walk(5);
[e, state] = predict_error(start(make_model()), samples);
pass = isequal(predict_error(predict_error(state), samples), e) ...
    && ~isequal(predict_error(state, samples), e);
end

function pass = no_samples_change_nothing()
[~, state] = predict_error(start(make_model()), walk(5));
[e, after] = predict_error(state, zeros(0, 4));
pass = isequal(size(e), [0 2]) && isequal(after, state);
end

function pass = differences_are_zero_at_first()
state = start(make_model());
samples = [10 20 3 4; 10.5 20.25 5 -4];
[inputs, after] = jaxcorr.derive_inputs(state, samples);
more = jaxcorr.derive_inputs(after, [11 20 5 -4]);
pass = isequal(inputs, [3 4 0 0 0 0; 5 -4 0.5 0.25 2 -8]) ...
    && isequal(more, [5 -4 0.5 -0.25 0 0]);
end

function pass = raw_inputs_with_phases()
model = make_model();
model.inputs = 'raw';
model.phase_periods_mm = [0.5 2];
inputs = jaxcorr.derive_inputs(start(model), [0.125 -0.5 7 8]);
expected = [0.125 -0.5 7 8, 1 0 0 1, sin(pi / 8) -1 cos(pi / 8) 0];
pass = max(abs(inputs - expected)) < 1e-14;
end

function pass = path_in_closed_form()
% Each regressor adds its number to the error of its sample, and a thousandth of it to the next.
model = with_path(make_model());
model.head_kernel = zeros(3, 2);
[model.head_bias, model.target_mean] = deal([0 0]);
% At rest; along -x; along +y, on the second ramp; along a diagonal, faster than counts.
samples = [0 0 0 0; 0 0 -30 0; 0 0 0 15; 0 0 40 40];
diagonal = sqrt(0.5);
regressors = [0 0 0 0 0 0 0; -30 tanh(-1.5) -1 1 0.95 -1 -0.95; 0 0 0 1 0.2 0 0; ...
    35 tanh(2) diagonal 1 1 diagonal diagonal];
said = regressors * (1:7)';
expected = said + 1e-3 * [0; said(1:3)] + 0.5;
e = predict_error(start(model), samples);
pass = max(abs(e(:, 1) - expected)) < 1e-12 && max(abs(e(:, 2) + 0.5)) < 1e-12;
end

function pass = no_error_passes_the_limit()
model = make_model();
model.target_limit = [0.03 0.04];
e = predict_error(start(model), walk(30));
free = predict_error(start(make_model()), walk(30));
pass = max(abs(free(:))) > 0.04 && isequal(e, min(max(free, -[0.03 0.04]), [0.03 0.04]));
end

function pass = path_pieces_equal_the_whole()
model = with_path(make_model());
model.path.response = reshape(sin((1:numel(model.path.response))'), size(model.path.response));
samples = walk(60);
[whole, last] = predict_error(start(model), samples);
[first, state] = predict_error(start(model), samples(1:25, :));
[second, state] = predict_error(state, samples(26, :));
[none, state] = predict_error(state, zeros(0, 4));
[third, state] = predict_error(state, samples(27:60, :));
parts = [first; second; none; third];
pass = max(abs(parts(:) - whole(:))) < 1e-11 && max(abs(state.path - last.path)) < 1e-11;
end

function pass = bad_samples_leave_the_state()
state = start(make_model());
refused = @(samples, id, part) is_refused( ...
    @() predict_error(state, samples), ['jaxcorr:predict:' id], part);
pass = refused([1 2 3], 'badSize', 'N-by-4 numbers (x_ref, y_ref, vx_ref, vy_ref), got [1 3]') ...
    && refused(walk(5)', 'badSize', 'Transpose them?') && refused('abcd', 'badSize', 'char') ...
    && refused([1 2 3 4; 5 NaN 7 8], 'badValue', 'sample 2: expected finite y_ref') ...
    && refused([1 2 3 -Inf], 'badValue', 'vy_ref') && refused([1e6 2 3 4], 'badValue', '1e+06');
end

function pass = bad_files()
refused = @(file, id, part) is_refused(@() predict_error(file), ['jaxcorr:predict:' id], part);
file = [tempname() '.mat'];
cleanup = onCleanup(@() delete(file));
other = 1;
save(file, 'other', '-v7');
is_other_refused = refused(file, 'badFile', 'a struct ''model'' with layers, got ''other''');
text = fopen(file, 'w');
fprintf(text, 'no numbers here, only words');
fclose(text);
pass = is_other_refused && refused(file, 'badFile', file) ...
    && refused([tempname() '.mat'], 'noFile', 'got no file');
clear cleanup
end

function state = start(model)
% The state before the first sample, through a file as 'just export' writes it.
file = [tempname() '.mat'];
cleanup = onCleanup(@() delete(file));
save(file, 'model', '-v7');
state = predict_error(file);
clear cleanup
end

function model = make_model()
% Two layers of three units on four features, with weights that are no round numbers.
some = @(rows, columns) reshape(sin((1:rows * columns)' * 1.7), rows, columns);
layer = @(width) struct('input_kernel', some(width, 12), 'recurrent_kernel', some(3, 12), ...
    'bias', some(1, 12));
model = struct('features', {{'x_ref', 'y_ref', 'vx_ref', 'vy_ref'}}, ...
    'targets', {{'error_x', 'error_y'}}, 'inputs', 'kinematic', ...
    'phase_periods_mm', zeros(1, 0), 'input_mean', some(1, 6), 'input_std', 20 + some(1, 6), ...
    'target_mean', [0.01 0.02], 'target_std', [0.1 0.2], 'encoder_kernel', some(6, 5), ...
    'encoder_bias', some(1, 5), 'norm_scale', 1 + some(1, 5), 'norm_bias', some(1, 5), ...
    'norm_epsilon', 1e-6, 'layers', {{layer(5), layer(3)}}, 'head_kernel', some(3, 2), ...
    'head_bias', [0 1], 'target_limit', [1e9 1e9]);
end

function model = with_path(model)
% A smooth path of two velocities to 35 mm/s: one tanh, two ramps from 1 to 31 mm/s, 39 lags.
response = zeros(7, 39, 2);
response(:, 1:2, 1) = (1:7)' * [1 1e-3];
model.path = struct('velocities', [3 4], 'offset', [0.5 -0.5], 'rest', 1e-9, ...
    'knots', [1 11 31], 'most', [35 35], 'scale', [20 20], 'response', response);
end

function samples = walk(count)
% A path with its velocities, some mm and mm/s.
t = (0:count - 1)' / 100;
samples = [100 + 30 * sin(5 * t), 90 + 20 * cos(4 * t), 150 * cos(5 * t), -80 * sin(4 * t)];
end
