function [command, arguments, comment] = split_line(line)
%SPLIT_LINE   One line of G-code as command, arguments and comment.
%   [COMMAND, ARGUMENTS, COMMENT] = SPLIT_LINE(LINE) returns the command in one spelling ('g01' is
%   'G1', a macro's name is in capitals, '' where the line has none), the text of its arguments,
%   and the text after ';'. A line number is dropped, its checksum is verified and dropped. Of a line
%   that does not start with a command ARGUMENTS is all.
%
%   See also PARSE_WORDS, EXECUTE_LINE.
%
%   Reference: NIST RS274/NGC; RepRap wiki, G-code, "Checking".

semicolon = find(line == ';', 1);
code = line;
comment = '';
if ~isempty(semicolon)
    code = line(1:semicolon - 1);
    comment = line(semicolon + 1:end);
end
code = strtrim(code);
number_end = regexp(code, '^\s*[Nn]\s*[-+]?[0-9]{1,10}(?![0-9.])\s*', 'end', 'once');
is_numbered = ~isempty(number_end);
if is_numbered
    if any(code == '*')
        code = without_checksum(code);
    end
    code = code(number_end + 1:end);
end
if any(code == '(') && ~is_free_text(code)
    code = regexprep(code, '\([^()]*\)', ' ');
end
if any(code == '*') && ~is_free_text(code)
    code = code(1:find(code == '*', 1) - 1);  % without a line number it is no checksum
end
[command, last] = leading_command(code);
arguments = code(last + 1:end);
if isempty(command)
    arguments = strtrim(code);
end
end

function [command, last] = leading_command(code)
letter_number = '^\s*[GMTgmt]\s*0*[0-9]{1,5}(\.[0-9]{1,3})?(?![0-9.])';
[found, last] = regexp(code, letter_number, 'match', 'end', 'once');
if ~isempty(found)
    command = upper(found(~isspace(found)));
    command = [command(1) regexprep(command(2:end), '^0+(?=[0-9])', '')];
    return
end
macro = '^\s*[A-Za-z_]{2}[A-Za-z0-9_]{0,62}(?![A-Za-z0-9_])';
[found, last] = regexp(code, macro, 'match', 'end', 'once');
command = upper(strtrim(found));
if isempty(last)
    last = 0;
end
end

function is_free = is_free_text(code)
% Commands whose argument is a file's name, a message or an object's name, and macros.
pattern = '^([Mm]0*(16|23|28|30|32|117|118|486|928)(?![0-9])|[A-Za-z_]{2})';
is_free = ~isempty(regexp(code, pattern, 'once'));
end

function body = without_checksum(code)
star = find(code == '*', 1, 'last');
body = code(1:star - 1);
digits = code(star + 1:end);
if isempty(regexp(digits, '^[0-9]{1,3}\s*$', 'once'))
    error('jaxcorr:gcode:badChecksum', 'expected a checksum of 1 to 3 digits after *, got %s', ...
        jaxcorr.quote(digits));
end
computed = uint8(0);
for byte = uint8(unicode2native(body, 'UTF-8'))
    computed = bitxor(computed, byte);
end
if double(computed) ~= str2double(digits)
    error('jaxcorr:gcode:badChecksum', 'expected checksum %d, got %d', ...
        computed, str2double(digits));
end
end
