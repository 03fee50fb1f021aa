function [rms_um, names] = rms_by_source(fields)
%RMS_BY_SOURCE   Size of the error of a trace, in total and of each source.
%   [RMS_UM, NAMES] = RMS_BY_SOURCE(FIELDS) returns 1-by-7 RMS values in micrometres over both axes
%   (root of the mean of x^2 + y^2) and their names, 'total' first.
%
%   See also TRACE_FIELDS, TEST_FIRMWARE_EFFECTS_SIMPLE.

names = [{'total'}, jaxcorr.source_names()];
prefixes = [{'error'}, jaxcorr.source_names()];
rms_um = zeros(1, numel(names));
for k = 1:numel(names)
    x = fields.([prefixes{k} '_x']);
    y = fields.([prefixes{k} '_y']);
    rms_um(k) = 1000 * sqrt(mean(x.^2 + y.^2));
end
end
