function index = last_at(edges, values)
%LAST_AT   Index of the last edge at or before each value.
%   INDEX = LAST_AT(EDGES, VALUES) takes column vectors, EDGES sorted, and returns a column; 0 where
%   all edges come later. Of equal edges the last one counts.
%
%   See also SAMPLE_PLAN.

is_edge = [true(numel(edges), 1); false(numel(values), 1)];
[~, order] = sort([edges(:); values(:)]);  % stable: an edge comes before a value equal to it
passed = cumsum(is_edge(order));
index = zeros(size(is_edge));
index(order) = passed;
index = index(numel(edges) + 1:end);
end
