function text = spell_layers(selection)
%SPELL_LAYERS   A selection of layers as text, numbers separated by commas.
%   TEXT = SPELL_LAYERS(SELECTION) takes what SELECT_LAYERS takes.
%
%   See also SELECT_LAYERS, FOLDER_NAME.

if isnumeric(selection)
    selection = strjoin(arrayfun(@num2str, selection(:)', 'UniformOutput', false), ',');
end
text = regexprep(selection, '\s', '');
end
