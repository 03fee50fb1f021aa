function files = collect_boat(layers, varargin)
%COLLECT_BOAT   Simulates layers of the part 'boat' into .mat traces.
%   COLLECT_BOAT() simulates every fifth layer into data_simulation_boat_sampled5 under the
%   current folder: of our own simple boat, or of jaxcorr/parts/boat.gcode if there is one.
%
%   COLLECT_BOAT(LAYERS) takes 'sampled:N', 'all', a number or a vector of numbers.
%   COLLECT_BOAT(LAYERS, NAME, VALUE, ...) changes options as COLLECT_DATA does.
%   FILES = COLLECT_BOAT(...) returns the paths of the traces.
%
%   See also COLLECT_DATA, COLLECT_ALL.

if nargin < 1
    layers = 'sampled:5';
end
files = collect_data('boat', layers, varargin{:});
if nargout == 0
    clear files
end
end
