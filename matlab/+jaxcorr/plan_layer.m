function plan = plan_layer(program, layer, options)
%PLAN_LAYER   Plans the moves of one layer on their own, from rest to rest.
%   PLAN = PLAN_LAYER(PROGRAM, LAYER) takes a program of PARSE_GCODE and a layer, from 1.
%   PLAN = PLAN_LAYER(PROGRAM, LAYER, OPTIONS) takes options as PLAN_OPTIONS gives them.
%
%   See also PLAN_MOVES.

if nargin < 3
    options = jaxcorr.plan_options();
end
index = find(program.layer == layer);
if isempty(index) || layer < 1
    error('jaxcorr:planner:noLayer', ...
        ['layer %g: expected a layer from 1 to %d, got one without moves. ' ...
        'Choose another layer.'], layer, numel(program.layer_z_mm));
end
plan = jaxcorr.plan_moves(jaxcorr.select_moves(program, index), options);
end
