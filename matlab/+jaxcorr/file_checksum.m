function checksum = file_checksum(path)
%FILE_CHECKSUM   A number that changes with a file's content.
%   CHECKSUM = FILE_CHECKSUM(PATH) returns the Adler-32 sum of the file's bytes, in which every byte
%   counts as often as the file goes on from it.
%
%   See also COLLECT_DATA.
%
%   Reference: RFC 1950, ZLIB Compressed Data Format.

file = fopen(path, 'r');
cleanup = onCleanup(@() fclose(file));
bytes = fread(file, Inf, 'uint8');
modulus = 65521;
num = numel(bytes);
low = mod(1 + sum(bytes), modulus);
high = mod(num + sum(bytes .* mod((num:-1:1)', modulus)), modulus);
checksum = high * 65536 + low;
end
