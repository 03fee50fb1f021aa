function name = folder_name(part, selection)
%FOLDER_NAME   Name of the folder for the traces of a part.
%   NAME = FOLDER_NAME(PART, SELECTION) is data_simulation_<part>_<layers>: 'sampled:5' is spelled
%   sampled5, 3 is layer3, [3 7] is layers3_7.
%
%   See also SELECT_LAYERS, TRACE_FILE_NAME.

text = strrep(jaxcorr.spell_layers(selection), ':', '');
if any(text(1) == '0':'9')
    kinds = {'layer', 'layers'};
    text = [kinds{1 + any(text == ',')} strrep(text, ',', '_')];
end
name = sprintf('data_simulation_%s_%s', part, text);
end
