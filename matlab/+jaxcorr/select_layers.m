function layers = select_layers(selection, num_layers)
%SELECT_LAYERS   Layer numbers that a selection means.
%   LAYERS = SELECT_LAYERS(SELECTION, NUM_LAYERS) takes 'sampled:N' (layers 1, 1 + N, ...), 'all', a
%   number, a vector, or text such as '3,7,12', and returns numbers from 1 in print order.
%
%   See also COLLECT_DATA, FOLDER_NAME.

text = jaxcorr.spell_layers(selection);
step = regexp(text, '^sampled:([1-9][0-9]*)$', 'tokens', 'once');
if strcmp(text, 'all')
    layers = 1:num_layers;
elseif ~isempty(step)
    layers = 1:str2double(step{1}):num_layers;
elseif ~isempty(regexp(text, '^[0-9]+(,[0-9]+)*$', 'once'))
    layers = unique(sscanf(text, '%d,')');
else
    error('jaxcorr:collect:badLayers', ...
        ['layers: expected ''sampled:N'', ''all'', a number or numbers such as 3,7,12, got %s. ' ...
        'Choose one of them.'], jaxcorr.quote(text));
end
bad = layers(layers < 1 | layers > num_layers);
if ~isempty(bad)
    error('jaxcorr:collect:noLayer', ...
        'layers: expected numbers from 1 to %d, got %d. Choose layers of this part.', ...
        num_layers, bad(1));
end
end
