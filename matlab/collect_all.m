function files = collect_all(layers, varargin)
%COLLECT_ALL   Simulates layers of all four parts into .mat traces.
%   COLLECT_ALL() simulates every fifth layer of 3dbenchy, bearing5, nautilus and boat, 40 layers in
%   all, each part into its own folder data_simulation_<part>_sampled5 under the current one. It
%   runs from a shell too: matlab -batch "collect_all", octave --eval collect_all, in the folder
%   matlab/ or with it on the path.
%
%   COLLECT_ALL(LAYERS) takes 'sampled:N', 'all', a number or a vector of numbers.
%   COLLECT_ALL(LAYERS, NAME, VALUE, ...) changes options as COLLECT_DATA does.
%   FILES = COLLECT_ALL(...) returns the paths of the traces.
%
%   See also COLLECT_DATA, COLLECT_3DBENCHY, COLLECT_BEARING5, COLLECT_NAUTILUS, COLLECT_BOAT.

if nargin < 1
    layers = 'sampled:5';
end
began = tic();
files = [collect_3dbenchy(layers, varargin{:})
    collect_bearing5(layers, varargin{:})
    collect_nautilus(layers, varargin{:})
    collect_boat(layers, varargin{:})];
fprintf('%d traces, %.0f s\n', numel(files), toc(began));
if nargout == 0
    clear files
end
end
