function [fields, params] = read_trace(file)
%READ_TRACE   Reads the trace of a .mat file.
%   [FIELDS, PARAMS] = READ_TRACE(FILE) returns the columns of its struct simulation_data, and how
%   they were made (an empty struct where the file does not say).
%
%   See also WRITE_TRACE.

content = load(file);
if ~isfield(content, 'simulation_data')
    error('jaxcorr:trace:noStruct', '%s: expected a struct ''simulation_data'', got %s. %s', ...
        file, strjoin(fieldnames(content)', ', '), 'Save the trace as that struct.');
end
fields = content.simulation_data;
params = struct();
if isfield(fields, 'params')
    params = fields.params;
    fields = rmfield(fields, 'params');
end
end
