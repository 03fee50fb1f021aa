function files = collect_3dbenchy(layers, varargin)
%COLLECT_3DBENCHY   Simulates layers of the part '3dbenchy' into .mat traces.
%   COLLECT_3DBENCHY() simulates every fifth layer into data_simulation_3dbenchy_sampled5 under the
%   current folder: of our own tug boat with cabin and arch,
%   or of jaxcorr/parts/3dbenchy.gcode if there is one.
%
%   COLLECT_3DBENCHY(LAYERS) takes 'sampled:N', 'all', a number or a vector of numbers.
%   COLLECT_3DBENCHY(LAYERS, NAME, VALUE, ...) changes options as COLLECT_DATA does.
%   FILES = COLLECT_3DBENCHY(...) returns the paths of the traces.
%
%   See also COLLECT_DATA, COLLECT_ALL.

if nargin < 1
    layers = 'sampled:5';
end
files = collect_data('3dbenchy', layers, varargin{:});
if nargout == 0
    clear files
end
end
