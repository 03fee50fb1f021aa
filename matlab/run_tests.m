function run_tests()
%RUN_TESTS   Runs all unit tests, prints a line for each, and raises an error if one fails.
%   RUN_TESTS() calls the functions test_*.m of the folder tests, each of which returns a logical
%   vector and the names of its checks. From a shell: matlab -batch "run_tests",
%   octave --eval run_tests, in the folder matlab/ or with it on the path.
%
%   See also TEST_FIRMWARE_EFFECTS_SIMPLE.

folder = fullfile(fileparts(mfilename('fullpath')), 'tests');
addpath(folder);
found = dir(fullfile(folder, 'test_*.m'));
num_failed = 0;
for k = 1:numel(found)
    [~, name] = fileparts(found(k).name);
    began = tic();
    [pass, names] = feval(name);
    fprintf('%-14s %2d of %2d passed, %.1f s\n', name, nnz(pass), numel(pass), toc(began));
    for failed = reshape(names(~pass), 1, [])
        fprintf('  FAILED: %s\n', failed{1});
    end
    num_failed = num_failed + nnz(~pass);
end
if num_failed
    error('jaxcorr:tests:failed', '%d tests failed.', num_failed);
end
end
