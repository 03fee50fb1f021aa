function value = parse_keywords(arguments, name)
%PARSE_KEYWORDS   The number of one of a macro's arguments, such as 'ACCEL=3000'.
%   VALUE = PARSE_KEYWORDS(ARGUMENTS, NAME) is NaN where there is no such argument with a number.
%
%   See also PARSE_SETTINGS, READ_SETTING.

number = '[-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,60})?|\.[0-9]{1,60})';
pattern = ['([A-Za-z_]{1,40})[ \t]*=[ \t]*(' number ')(?![0-9.A-Za-z])'];
found = regexp(arguments, pattern, 'tokens');
value = NaN;
for k = 1:numel(found)
    if strcmpi(found{k}{1}, name)
        value = str2double(found{k}{2});
    end
end
end
