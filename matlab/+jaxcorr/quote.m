function shown = quote(text)
%QUOTE   Text in quotes, shortened to 60 characters, on one line, fit for a message.
%   SHOWN = QUOTE(TEXT) also replaces control characters by question marks.
%
%   See also SPLIT_LINE.

shown = strtrim(regexprep(text(1:min(end, 240)), '\s+', ' '));
if numel(text) > 60
    shown = [shown(1:min(end, 57)) '...'];
end
shown(shown < 32 | shown == 127) = '?';
shown = ['''' shown ''''];
end
