function allowed_v2 = smoothed_v2(node_v2, reach_v2, smooth_v2, cruise_v2)
%SMOOTHED_V2   Squared speeds that Klipper lets moves reach, so that a short zigzag does not shake.
%   ALLOWED_V2 = SMOOTHED_V2(NODE_V2, REACH_V2, SMOOTH_V2, CRUISE_V2) takes the squared speeds at
%   N+1 nodes, 2 a L, the same times 1 - r with the minimum cruise ratio r, and the squared cruise
%   speeds, N-by-1, in mm2/s2. A second look-ahead with SMOOTH_V2 finds the crests between speeding
%   up and slowing down. A move that can speed up in it is no faster than the crest that it leads
%   to; one that can only slow down is no faster than it begins.
%
%   See also PLAN_MOVES, LOOK_AHEAD.
%
%   Reference: Klipper, Kinematics, "Minimum cruise ratio".

v2 = jaxcorr.look_ahead(node_v2, reach_v2);
smoothed = jaxcorr.look_ahead(node_v2, smooth_v2);
speeds_up = smoothed(1:end - 1) < smoothed(2:end) + smooth_v2;
slows_down = smoothed(1:end - 1) + smooth_v2 > smoothed(2:end);
is_crest = speeds_up & (slows_down | [~speeds_up(2:end); false]);
crest_v2 = (smoothed(1:end - 1) + smoothed(2:end) + smooth_v2) / 2;
allowed_v2 = min(cruise_v2, (v2(1:end - 1) + v2(2:end) + reach_v2) / 2);
highest = inf;
for i = numel(allowed_v2):-1:1
    if is_crest(i)
        highest = crest_v2(i);
    end
    allowed_v2(i) = min(allowed_v2(i), highest);
end
last = 0;
for i = 1:numel(allowed_v2)
    if ~speeds_up(i)
        allowed_v2(i) = min(last, v2(i));
    end
    last = allowed_v2(i);
end
end
