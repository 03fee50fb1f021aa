function [kind, value] = read_inline_comment(comment)
%READ_INLINE_COMMENT   What Slic3r says behind a command.
%   [KIND, VALUE] = READ_INLINE_COMMENT(COMMENT) takes the text after ';' and returns 'numbered'
%   and the layer's number, 'inline_feature' and the label, or '' and ''.
%
%   See also READ_COMMENTS.

found = regexp(comment, '^[ \t]{0,9}move to next layer \(([0-9]{1,9})\)', 'tokens', 'once');
kind = '';
value = '';
if ~isempty(found)
    kind = 'numbered';
    value = found{1};
    return
end
[~, labels] = jaxcorr.features();
if any(strcmpi(strtrim(comment), labels))
    kind = 'inline_feature';
    value = strtrim(comment);
end
end
