function [c, h] = lstm_step(layer, x, c, h)
%LSTM_STEP   One step of an LSTM layer.
%   [C, H] = LSTM_STEP(LAYER, X, C, H) takes a row of inputs X and the layer's state, rows C and H,
%   and returns the state after it. LAYER has input_kernel, recurrent_kernel and bias, each with
%   the columns of the four gates i, f, g, o side by side.
%
%   Reference: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997.
%
%   See also PREDICT_ERROR.

n = numel(h);
z = x * layer.input_kernel + h * layer.recurrent_kernel + layer.bias;
s = 1 ./ (1 + exp(-z));
c = s(n + 1:2 * n) .* c + s(1:n) .* tanh(z(2 * n + 1:3 * n));
h = s(3 * n + 1:4 * n) .* tanh(c);
end
