function [is_plain, table] = plain_table(lines)
%PLAIN_TABLE   The words of all lines that have the form of nearly every line, in one go.
%   [IS_PLAIN, TABLE] = PLAIN_TABLE(LINES) takes a cell array of lines. IS_PLAIN tells which are
%   moves spelled like 'G1 X1.5 Y2 E.03' or 'G1 F2400 X1 Y2'. TABLE has a row for each of these:
%   X Y Z E F, NaN where a word is absent, then the number of the line, from 1.
%
%   See also EXECUTE_PLAIN, EXECUTE_LINE.

% Four digits before the point keep coordinates within bounds, nine after it on the grid of 1e-9 mm,
% and F cannot be 0; whatever looks different goes through EXECUTE_LINE.
number = '-?(?:[0-9]{1,4}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})';
f = ' F[1-9][0-9]{0,6}(?:\.[0-9]{0,9})?';
xyze = strrep('(?: X#)?(?: Y#)?(?: Z#)?(?: E#)?', '#', number);
form = ['^G[01](?:' xyze '(?:' f ')?|' f xyze ') ?$'];
is_plain = ~cellfun('isempty', regexp(lines, form, 'once', 'start'));

text = strjoin(reshape(lines(is_plain), 1, []), ' ');
letters = text(text >= 'A');
text(text >= 'A') = ' ';
values = sscanf(text, '%f');
row = cumsum(letters == 'G')';
[is_word, column] = ismember(letters, 'XYZEF');
table = [nan(nnz(is_plain), 5), reshape(find(is_plain), [], 1)];
table(sub2ind(size(table), row(is_word), column(is_word)')) = values(is_word);
end
