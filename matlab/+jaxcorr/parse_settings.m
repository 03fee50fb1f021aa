function words = parse_settings(arguments)
%PARSE_SETTINGS   The words of a setting, read as far as they can be read.
%   WORDS = PARSE_SETTINGS(ARGUMENTS) returns a 1-by-26 vector as PARSE_WORDS does. What is no letter
%   with a number is passed over; of a letter that occurs twice the last value counts, of a list
%   such as 'E1500:1500' the first.
%
%   See also PARSE_WORDS, PARSE_KEYWORDS, READ_SETTING.

number = '[-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,60})?|\.[0-9]{1,60})';
found = regexp(arguments, ['([A-Za-z])[ \t]*(' number ')(?![0-9.])'], 'tokens');
words = nan(1, 26);
for k = 1:numel(found)
    words(upper(found{k}{1}) - 'A' + 1) = str2double(found{k}{2});
end
end
