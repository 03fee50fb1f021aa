function allowed_v2 = smoothed_v2(node_v2, reach_v2, cruise_v2)
%SMOOTHED_V2   Squared speeds that Klipper lets moves reach, so that a short zigzag does not shake.
%   ALLOWED_V2 = SMOOTHED_V2(NODE_V2, REACH_V2, CRUISE_V2) takes the squared speeds at N+1 nodes,
%   2 a (1 - r) L with the minimum cruise ratio r, and the squared cruise speeds, N-by-1, in mm2/s2.
%   A second look-ahead with the lower acceleration finds how fast each move would get. Moves that
%   only speed up or only slow down in it may be as fast as the crest that they lead to.
%
%   See also PLAN_MOVES, LOOK_AHEAD.
%
%   Reference: Klipper, Kinematics, "Minimum cruise ratio".

v2 = jaxcorr.look_ahead(node_v2, reach_v2);
allowed_v2 = min(cruise_v2, (v2(1:end - 1) + v2(2:end) + reach_v2) / 2);
climbs = v2(2:end) >= v2(1:end - 1) + reach_v2 * (1 - 1e-9);
falls = v2(1:end - 1) >= v2(2:end) + reach_v2 * (1 - 1e-9);
for i = numel(allowed_v2) - 1:-1:1
    if climbs(i)
        allowed_v2(i) = max(allowed_v2(i), allowed_v2(i + 1));
    end
end
for i = 2:numel(allowed_v2)
    if falls(i)
        allowed_v2(i) = max(allowed_v2(i), allowed_v2(i - 1));
    end
end
allowed_v2 = min(allowed_v2, cruise_v2);
end
