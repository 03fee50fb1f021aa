function files = collect_bearing5(layers, varargin)
%COLLECT_BEARING5   Simulates layers of the part 'bearing5' into .mat traces.
%   COLLECT_BEARING5() simulates every fifth layer into data_simulation_bearing5_sampled5 under the
%   current folder: of our own five-ball bearing set,
%   or of jaxcorr/parts/bearing5.gcode if there is one.
%
%   COLLECT_BEARING5(LAYERS) takes 'sampled:N', 'all', a number or a vector of numbers.
%   COLLECT_BEARING5(LAYERS, NAME, VALUE, ...) changes options as COLLECT_DATA does.
%   FILES = COLLECT_BEARING5(...) returns the paths of the traces.
%
%   See also COLLECT_DATA, COLLECT_ALL.

if nargin < 1
    layers = 'sampled:5';
end
files = collect_data('bearing5', layers, varargin{:});
if nargout == 0
    clear files
end
end
