function [pass, names] = run_checks(checks)
%RUN_CHECKS   Runs checks and tells which passed.
%   [PASS, NAMES] = RUN_CHECKS(CHECKS) takes a cell array of function handles that return a logical
%   scalar. One that raises an error has failed; its message is printed.
%
%   See also RUN_TESTS.

names = cellfun(@func2str, checks, 'UniformOutput', false);
pass = false(size(checks));
for k = 1:numel(checks)
    try
        pass(k) = checks{k}();
    catch problem
        fprintf('  %s: %s\n', names{k}, problem.message);
    end
end
end
