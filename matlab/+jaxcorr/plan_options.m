function options = plan_options(varargin)
%PLAN_OPTIONS   What replaces the G-code's own motion settings; NaN leaves them in force.
%   OPTIONS = PLAN_OPTIONS(NAME, VALUE, ...) returns a struct with
%     junction_deviation_mm         one of these three at most
%     square_corner_velocity_mm_s   Klipper's measure: the speed at 90 degrees
%     classic_jerk_mm_s             x and y; z and e stay as they are
%     accel_mm_s2                   M204 P and T; lifts M201 of x and y where they are lower
%     velocity_mm_s                 feedrate of every move that leaves its place in x or y
%
%   See also PLAN_MOVES.

options = struct('junction_deviation_mm', NaN, 'square_corner_velocity_mm_s', NaN, ...
    'classic_jerk_mm_s', NaN, 'accel_mm_s2', NaN, 'velocity_mm_s', NaN);
for k = 1:2:numel(varargin)
    name = varargin{k};
    value = varargin{k + 1};
    if ~isfield(options, name)
        error('jaxcorr:planner:unknownOption', ...
            'plan options: expected one of %s, got %s. Check the spelling.', ...
            strjoin(fieldnames(options)', ', '), jaxcorr.quote(name));
    end
    if ~(isscalar(value) && (isnan(value) || (value > 0 && isfinite(value))))
        error('jaxcorr:planner:badOption', ...
            ['plan options: expected %s > 0, got %s. Leave it out to keep the file''s own ' ...
            'setting.'], name, mat2str(value));
    end
    options.(name) = value;
end
schemes = {'junction_deviation_mm', 'square_corner_velocity_mm_s', 'classic_jerk_mm_s'};
is_given = cellfun(@(name) ~isnan(options.(name)), schemes);
if nnz(is_given) > 1
    error('jaxcorr:planner:badOption', ...
        'plan options: expected one cornering scheme, got %s. Give one of them.', ...
        strjoin(schemes(is_given), ' and '));
end
end
