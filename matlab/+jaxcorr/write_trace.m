function write_trace(file, fields, params)
%WRITE_TRACE   Writes a trace as struct simulation_data in a .mat file of version 7.
%   WRITE_TRACE(FILE, FIELDS, PARAMS) writes the columns of TRACE_FIELDS and the params of
%   TRACE_PARAMS under another name first, so that FILE is either complete or not there.
%
%   See also READ_TRACE, COLLECT_DATA.

simulation_data = fields;
simulation_data.params = params;
partial = [tempname(fileparts(file)) '.partial'];
cleanup = onCleanup(@() remove(partial));
save(partial, 'simulation_data', '-v7');
movefile(partial, file, 'f');
end

function remove(partial)
if exist(partial, 'file') == 2
    delete(partial);
end
end
