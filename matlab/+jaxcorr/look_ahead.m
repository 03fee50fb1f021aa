function v2 = look_ahead(v2, reach_v2)
%LOOK_AHEAD   Lowers the speeds between moves until each move can change from one to the next.
%   V2 = LOOK_AHEAD(V2, REACH_V2) takes the squared speeds at N+1 nodes and what a move can change
%   them by, 2 a L, N-by-1, both in mm2/s2: a backward pass, then a forward one.
%
%   See also PLAN_MOVES.

for i = numel(reach_v2):-1:1
    v2(i) = min(v2(i), v2(i + 1) + reach_v2(i));
end
for i = 1:numel(reach_v2)
    v2(i + 1) = min(v2(i + 1), v2(i) + reach_v2(i));
end
end
