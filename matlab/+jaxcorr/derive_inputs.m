function [inputs, after] = derive_inputs(state, samples)
%DERIVE_INPUTS   What the network's encoder sees of raw samples, before normalisation.
%   [INPUTS, AFTER] = DERIVE_INPUTS(STATE, SAMPLES) takes N-by-F samples, positions first, then as
%   many velocities, and the STATE of PREDICT_ERROR before them, and returns a row for each:
%
%     'raw'        the sample
%     'kinematic'  velocities, and the difference of every feature to the sample before (zero at
%                  the first sample of a stream): absolute position does not carry over from part
%                  to part
%
%   and for each of model.phase_periods_mm sine and cosine of the positions at that period: a
%   stepper's error repeats with its steps. AFTER is the state, with the newest sample noted.
%
%   See also PREDICT_ERROR.

after = state;
model = state.model;
inputs = samples;
if isempty(samples)
    inputs = zeros(0, numel(model.input_mean));
    return
end
half = floor(size(samples, 2) / 2);
positions = samples(:, 1:half);
if strcmp(model.inputs, 'kinematic')
    before = state.previous;
    if isempty(before)
        before = samples(1, :);
    end
    inputs = [samples(:, half + 1:end), samples - [before; samples(1:end - 1, :)]];
end
for period = reshape(model.phase_periods_mm, 1, [])
    angle = 2 * pi / period * mod(positions, period);
    inputs = [inputs, sin(angle), cos(angle)]; %#ok<AGROW> one or two periods
end
after.previous = samples(end, :);
end
