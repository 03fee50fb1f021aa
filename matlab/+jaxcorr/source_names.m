function names = source_names()
%SOURCE_NAMES   Where the error of a trace comes from, in the order in which sources are added.
%   NAMES = SOURCE_NAMES() returns a cell array, 1-by-6.
%
%   See also SIMULATE_LAYER.

names = {'junction_deviation', 'resonance', 'friction', 'microstep', 'jitter', 'floor'};
end
