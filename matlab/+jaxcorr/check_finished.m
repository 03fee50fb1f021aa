function check_finished(file, params)
%CHECK_FINISHED   Refuses a trace file that is there but was made in another way.
%   CHECK_FINISHED(FILE, PARAMS) compares what both PARAMS and the file's params have, apart from
%   the simulator's name: the built-in simulator's files count as finished too.
%
%   See also COLLECT_DATA, TRACE_PARAMS.

[~, there] = jaxcorr.read_trace(file);
for name = setdiff(intersect(fieldnames(params), fieldnames(there)), {'simulator'})'
    if ~isequaln(params.(name{1}), there.(name{1}))
        error('jaxcorr:collect:otherOptions', ...
            ['%s: expected a file made with these options and this G-code, got another %s. ' ...
            'Delete the folder, or choose another.'], file, name{1});
    end
end
end
