function model = load_model(file)
%LOAD_MODEL   Reads the weights.mat of an exported run.
%   MODEL = LOAD_MODEL(FILE) returns the struct that is in the file and raises an error where the
%   file is missing or is something else.
%
%   See also PREDICT_ERROR.

if exist(file, 'file') ~= 2
    error('jaxcorr:predict:noFile', ...
        '%s: expected a weights.mat, got no file. Write one with: just export RUN.', file);
end
needed = {'layers', 'encoder_kernel', 'head_kernel', 'input_mean', 'target_mean', 'features'};
try
    content = load(file);
catch problem
    error('jaxcorr:predict:badFile', ...
        '%s: expected a weights.mat, got ''%s''. Export the run again.', file, problem.message);
end
if ~isfield(content, 'model') || ~all(isfield(content.model, needed))
    error('jaxcorr:predict:badFile', ...
        '%s: expected a struct ''model'' with layers, got %s. Is it the weights.mat of a run?', ...
        file, jaxcorr.quote(strjoin(fieldnames(content)', ', ')));
end
model = content.model;
end
