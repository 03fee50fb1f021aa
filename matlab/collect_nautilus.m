function files = collect_nautilus(layers, varargin)
%COLLECT_NAUTILUS   Simulates layers of the part 'nautilus' into .mat traces.
%   COLLECT_NAUTILUS() simulates every fifth layer into data_simulation_nautilus_sampled5 under the
%   current folder: of our own plate of nautilus gears,
%   or of jaxcorr/parts/nautilus.gcode if there is one.
%
%   COLLECT_NAUTILUS(LAYERS) takes 'sampled:N', 'all', a number or a vector of numbers.
%   COLLECT_NAUTILUS(LAYERS, NAME, VALUE, ...) changes options as COLLECT_DATA does.
%   FILES = COLLECT_NAUTILUS(...) returns the paths of the traces.
%
%   See also COLLECT_DATA, COLLECT_ALL.

if nargin < 1
    layers = 'sampled:5';
end
files = collect_data('nautilus', layers, varargin{:});
if nargout == 0
    clear files
end
end
