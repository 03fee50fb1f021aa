function is_as_expected = is_refused(fn, identifier, part_of_message)
%IS_REFUSED   Whether a call raises the error it should.
%   IS_AS_EXPECTED = IS_REFUSED(FN, IDENTIFIER, PART_OF_MESSAGE) calls FN without arguments.
%
%   See also RUN_CHECKS.

is_as_expected = false;
try
    fn();
catch problem
    is_as_expected = strcmp(problem.identifier, identifier) ...
        && ~isempty(strfind(problem.message, part_of_message)); %#ok<STREMP> Octave 7
    if ~is_as_expected
        fprintf('  got %s: %s\n', problem.identifier, problem.message);
    end
end
end
