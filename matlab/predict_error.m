function [first, after] = predict_error(given, samples)
%PREDICT_ERROR   Predicts the trajectory error of a printer, sample by sample.
%   STATE = PREDICT_ERROR(FILE) loads a trained model, the weights.mat that 'just export RUN' wrote,
%   and returns a struct that is ready for the first sample. STATE.model says what it is:
%   features, targets and their units, sample_rate_hz, horizon (samples from the newest sample to
%   the one that the error belongs to), sign and run.
%
%   [ERROR, STATE] = PREDICT_ERROR(STATE, SAMPLES) takes N-by-F raw samples, by default the
%   command: x, y in mm and vx, vy in mm/s, that follow those before, and returns N-by-K errors in
%   mm: error = actual - reference. Each costs the same however many came before. To go back,
%   keep an earlier STATE.
%
%   STATE = PREDICT_ERROR(STATE) goes back to before the first sample, as for the next layer.
%
%   Example: one sample at a time in a loop
%     state = predict_error('runs/latest/export/weights.mat');
%     [e, state] = predict_error(state, [x y vx vy]);
%
%   See also JAXCORR.DERIVE_INPUTS, JAXCORR.LSTM_STEP, JAXCORR.FOLLOW_PATH,
%   JAXCORR.FOLLOW_PLANT.

if ischar(given) || isa(given, 'string')
    first = initial_state(jaxcorr.load_model(char(given)));
    return
end
if nargin < 2
    first = initial_state(given.model);
    return
end
model = given.model;
check_samples(model, samples);
% The model was trained on float32 samples; a position's last digits count in differences.
samples = double(single(samples));
[inputs, after] = jaxcorr.derive_inputs(given, samples);
x = encode(model, inputs);
first = zeros(size(samples, 1), numel(model.targets));
for t = 1:size(x, 1)
    h = x(t, :);
    for k = 1:numel(model.layers)
        [after.c{k}, after.h{k}] = ...
            jaxcorr.lstm_step(model.layers{k}, h, after.c{k}, after.h{k});
        h = after.h{k};
    end
    first(t, :) = h * model.head_kernel + model.head_bias;
end
first = first .* model.target_std + model.target_mean;
if isfield(model, 'path') && ~isempty(samples)
    [beside, after.path] = jaxcorr.follow_path(given, samples);
    first = first + beside;
end
if isfield(model, 'plant') && ~isempty(samples)
    [beside, after.path] = jaxcorr.follow_plant(given, samples);
    first = first + beside;
end
first = min(max(first, -model.target_limit), model.target_limit);
end

function state = initial_state(model)
% The state before the first sample.
zero = cellfun(@(layer) zeros(1, size(layer.recurrent_kernel, 1)), model.layers, ...
    'UniformOutput', false);
state = struct('model', model, 'previous', [], 'c', {zero}, 'h', {zero});
if isfield(model, 'path')
    state.path = zeros(numel(model.targets), size(model.path.response, 2) - 1);
end
if isfield(model, 'plant')
    num_lags = (2 + max(-model.plant.horizon, 0)) * numel(model.targets);
    state.path = zeros(1, num_lags + model.plant.num_recalled);
end
end

function x = encode(model, inputs)
% Normalise, Dense, LayerNorm, ReLU, for all samples at once.
x = (inputs - model.input_mean) ./ model.input_std * model.encoder_kernel + model.encoder_bias;
x = x - mean(x, 2);
x = x ./ sqrt(mean(x.^2, 2) + model.norm_epsilon) .* model.norm_scale + model.norm_bias;
x = max(x, 0);
end

function check_samples(model, samples)
% Refuses what would spoil the state for good.
most = 1e6;  % mm, mm/s
wanted = numel(model.features);
if ~isnumeric(samples) || ndims(samples) > 2 || size(samples, 2) ~= wanted %#ok<ISMAT>
    error('jaxcorr:predict:badSize', ...
        'samples: expected N-by-%d numbers (%s), got %s of class %s. Transpose them?', wanted, ...
        strjoin(model.features, ', '), mat2str(size(samples)), class(samples));
end
[row, column] = find(~(abs(samples) < most), 1);
if ~isempty(row)
    error('jaxcorr:predict:badValue', ...
        ['sample %d: expected finite %s within %g, got %g. The state is unchanged; pass the ' ...
        'sample again.'], row, model.features{column}, most, samples(row, column));
end
end
