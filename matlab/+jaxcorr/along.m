function value = along(axis_limit, u, wanted)
%ALONG   A value along a direction, lowered until no axis passes its own limit.
%   VALUE = ALONG(AXIS_LIMIT, U, WANTED) takes N-by-A limits, N-by-A unit vectors and the N-by-1
%   values wanted, in one unit (mm/s or mm/s2).
%
%   See also PLAN_MOVES.

value = min(wanted, min(axis_limit ./ max(abs(u), 1e-12), [], 2));
end
