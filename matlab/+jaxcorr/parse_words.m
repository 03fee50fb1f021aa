function words = parse_words(arguments, allowed, need_numbers)
%PARSE_WORDS   Words such as 'X10 Y-.5' as numbers by letter.
%   WORDS = PARSE_WORDS(ARGUMENTS, ALLOWED) returns a 1-by-26 vector: the value of X is
%   WORDS('X' - 'A' + 1), NaN where the letter does not occur. Only the letters of ALLOWED may
%   occur; '' allows all. What is malformed, repeated or not allowed is refused.
%
%   WORDS = PARSE_WORDS(ARGUMENTS, ALLOWED, false) lets a letter stand without a number; it is 0.
%
%   A number has no exponent: in G-code the E of 'X1E5' is the extruder.
%
%   See also SPLIT_LINE.

if nargin < 3
    need_numbers = true;
end
number = '[-+]?([0-9]{1,30}(\.[0-9]{0,60})?|\.[0-9]{1,60})(?![0-9.])';
[found, first, last] = regexp(arguments, ['\s*[A-Za-z]\s*(' number ')?'], 'match', 'start', 'end');
found = strtrim(found);
num_found = numel(found);
if num_found
    gap = find(first ~= [1, last(1:end - 1) + 1], 1);
    if isempty(gap) && ~isempty(strtrim(arguments(last(end) + 1:end)))
        gap = num_found + 1;
    end
elseif ~isempty(strtrim(arguments))
    gap = 1;
else
    gap = [];
end
ends = [0 last];
words = nan(1, 26);
for k = 1:min([num_found, gap - 1])
    letter = upper(found{k}(1));
    value = 0;
    if numel(found{k}) > 1
        value = str2double(found{k}(2:end));
    end
    if ~isempty(allowed) && ~any(letter == allowed)
        error('jaxcorr:gcode:badWord', 'expected only words of %s, got %s', ...
            strtrim(regexprep(allowed, '.', '$0 ')), letter);
    elseif ~isnan(words(letter - 'A' + 1))
        error('jaxcorr:gcode:badWord', 'expected %s once, got it twice', letter);
    elseif numel(found{k}) == 1 && need_numbers
        error('jaxcorr:gcode:badWord', 'expected a number after %s, got %s', ...
            letter, jaxcorr.quote(strtrim(arguments(ends(k + 1) + 1:end))));
    end
    words(letter - 'A' + 1) = value;
end
if ~isempty(gap)
    error('jaxcorr:gcode:badWord', 'expected a word such as X10, got %s', ...
        jaxcorr.quote(strtrim(arguments(ends(gap) + 1:end))));
end
end
