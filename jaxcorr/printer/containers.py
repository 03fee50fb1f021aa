"""Opens what slicers pack G-code into: plain text, gzip, `.gcode.3mf` and `.bgcode`.

All of them become a stream of text. Text that comes out of a container is bounded, by what the
container claims and by what comes out, so that a few kilobytes cannot fill the memory or the day.

A `.gcode.3mf` is a zip with Metadata/plate_N.gcode (Bambu Studio, OrcaSlicer). A `.bgcode` file is
Prusa's binary G-code: blocks of key-value pairs and of G-code, each with a checksum, compressed by
deflate or heatshrink, the G-code packed by MeatPack. Its metadata comes out as comments `; key =
value` behind the G-code, where PrusaSlicer writes them into text.

Source: Prusa, libbgcode, doc/specifications.md; heatshrink, README; MeatPack's command bytes.
"""

import gzip
import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, TextIO

from jaxcorr import files
from jaxcorr.errors import InputError

MAX_TEXT_BYTES = 1 << 30  # ten million moves, what the reader takes, are half of it
MAX_BLOCK_BYTES = 64 << 20  # PrusaSlicer writes blocks of 64 KiB
MAX_METADATA_BYTES = 16 << 20

_PLATE = re.compile(r"Metadata/plate_([0-9]{1,4})\.gcode")
_SAVE_AS = "Save it as UTF-8 text, or export it from the slicer again"
# The first bytes of what people hand in by mistake.
_FOREIGN = (
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"solid ", "an STL model"),
    (b"%PDF", "a PDF"),
)


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Opens a file of G-code as text, whatever it is packed in.

    Raises:
        InputError: The file cannot be read, holds no G-code, or is damaged.
    """
    with open_bytes(path) as stream:
        yield io.TextIOWrapper(
            stream,  # type: ignore[arg-type]
            encoding="utf-8-sig",
            errors="replace",
        )


@contextmanager
def open_bytes(path: Path) -> Iterator[io.RawIOBase | IO[bytes]]:
    """The bytes of that text; errors as of `open_text`."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
            file.seek(0)
            yield _unpacked(file, head)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as problem:
        what = getattr(problem, "strerror", None) or str(problem)
        raise InputError(
            f"{path}: expected a readable .gcode, .gcode.gz, .gcode.3mf or .bgcode file, "
            f"got '{what}'. Check the path, or export the file again."
        ) from problem
    except _DamagedError as problem:
        raise InputError(f"{path.name}: {problem}.") from None


class _DamagedError(Exception):
    """A container is not as it has to be: `expected <rule>, got <value>. <way out>`."""


def _unpacked(file: IO[bytes], head: bytes) -> io.RawIOBase | IO[bytes]:
    """The bytes of the text."""
    if head[:2] == b"\x1f\x8b":
        _check_end(file)
        packed = gzip.GzipFile(fileobj=file)
        _refuse_foreign(packed.read(64))
        packed.seek(0)
        return io.BufferedReader(_Bounded(packed, file))
    if head[:4] == b"PK\x03\x04":
        return io.BufferedReader(_Bounded(_open_plate(file), file))
    if head[:4] == b"GCDE":
        return io.BufferedReader(_Bounded(_Pieces(_binary_text(file)), file))
    _refuse_foreign(head)
    return file


def _check_end(file: IO[bytes]) -> None:
    """Refuses a gzip file of too much text by the length at its end, before any of it is parsed.

    In a file that was cut off that is no length, so as much has to come out as well.
    """
    num_packed = os.fstat(file.fileno()).st_size
    file.seek(max(num_packed - 4, 0))
    claimed = int.from_bytes(file.read(4), "little")
    file.seek(0)
    try:
        files.check_packing(file.name, claimed, num_packed)
    except InputError:
        text = _Bounded(gzip.GzipFile(fileobj=file), file)
        while text.read(1 << 20):
            pass
        file.seek(0)


def _refuse_foreign(head: bytes) -> None:
    for start, what in _FOREIGN:
        if head.startswith(start):
            raise _DamagedError(f"expected G-code as text, got {what}. {_SAVE_AS}")
    pairs = head[:64]
    # UTF-16 without a mark: every other byte of plain letters is zero.
    if len(pairs) >= 8 and (not any(pairs[1::2]) or not any(pairs[0::2])) and any(pairs):
        raise _DamagedError(f"expected G-code as text, got UTF-16 text. {_SAVE_AS}")


def _open_plate(file: IO[bytes]) -> IO[bytes]:
    """The G-code of the only plate of a .gcode.3mf, or the only G-code of another zip."""
    try:
        archive = zipfile.ZipFile(file)
    except (ValueError, struct.error, OverflowError) as problem:  # damaged names and sizes
        raise zipfile.BadZipFile(str(problem)) from problem
    names = plates_of(archive)
    if not names:
        raise _DamagedError(
            "expected Metadata/plate_1.gcode in the archive, got none. Slice the project, then "
            "export the plate's sliced file; a project alone holds no G-code"
        )
    if len(names) > 1:
        found = ", ".join(sorted(entry.filename for entry in names)[:3])
        raise _DamagedError(
            f"expected one plate of G-code, got {len(names)} ({found}). Export one plate, or unzip "
            "the file and name one of them"
        )
    if names[0].file_size > MAX_TEXT_BYTES:
        raise _DamagedError(_too_much(names[0].file_size))
    files.check_packing(file.name, names[0].file_size, os.fstat(file.fileno()).st_size)
    try:
        return archive.open(names[0])
    except (ValueError, struct.error, OverflowError) as problem:
        raise zipfile.BadZipFile(str(problem)) from problem


def plates_of(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The entries of an archive that are sliced plates, or any G-code where there are none."""
    entries = archive.infolist()
    names = [entry for entry in entries if _PLATE.fullmatch(entry.filename)]
    return names or [entry for entry in entries if entry.filename.lower().endswith(".gcode")]


def _too_much(size: int) -> str:
    return (
        f"expected at most {MAX_TEXT_BYTES >> 20} MiB of G-code, got {size >> 20} MiB. Slice the "
        "part in pieces"
    )


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than MAX_TEXT_BYTES, or than is packed in its file."""

    def __init__(self, stream: IO[bytes] | io.RawIOBase | gzip.GzipFile, file: IO[bytes]) -> None:
        self._stream, self._given = stream, 0
        self._path, self._num_packed = file.name, os.fstat(file.fileno()).st_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer)) or b""
        self._given += len(data)
        if self._given > MAX_TEXT_BYTES:
            raise _DamagedError(_too_much(self._given))
        files.check_packing(self._path, self._given, self._num_packed)
        buffer[: len(data)] = data
        return len(data)


class _Pieces(io.RawIOBase):
    """A stream of bytes that come in pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)  # of a large block each slice would be a copy
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


# ---- Prusa's binary G-code

_GCODE, _THUMBNAIL = 1, 5
_KINDS = ("file metadata", "G-code", "slicer metadata", "printer metadata", "print metadata")
_AGAIN = "Export it again, or as plain G-code"


class _Block(NamedTuple):
    kind: int
    encoding: int
    data: bytes


def count_gcode_bytes(file: IO[bytes]) -> int:
    """How many bytes of a .bgcode file's text are G-code; its metadata comes behind them."""
    return sum(len(_text_of(block)) for block in _blocks(file) if block.kind == _GCODE)


def _text_of(block: _Block) -> bytes:
    if block.encoding > 2:
        raise _DamagedError(f"expected encoding 0 to 2, got {block.encoding}. {_AGAIN}")
    return unpack_meatpack(block.data) if block.encoding else block.data


def _binary_text(file: IO[bytes]) -> Iterator[bytes]:
    """The text of a .bgcode file, piece by piece."""
    metadata: list[bytes] = []
    for block in _blocks(file):
        if block.kind != _GCODE:
            metadata.append(block.data)
            if sum(map(len, metadata)) > MAX_METADATA_BYTES:
                rule = f"at most {MAX_METADATA_BYTES >> 20} MiB of metadata"
                raise _DamagedError(f"expected {rule}, got more. {_AGAIN}")
            continue
        yield _text_of(block)
    lines = [line for data in metadata for line in data.splitlines() if b"=" in line]
    yield b"\n"
    for line in lines:
        key, _, value = line.partition(b"=")
        yield b"; " + key + b" = " + value + b"\n"


def _blocks(file: IO[bytes]) -> Iterator[_Block]:
    """The blocks but for the pictures, unpacked, their checksums verified."""
    _, version, checksum = struct.unpack("<4sIH", _exactly(file, 10))
    if version != 1 or checksum > 1:
        got = f"version {version} with checksum {checksum}"
        raise _DamagedError(f"expected version 1 with checksum 0 or 1, got {got}. {_AGAIN}")
    while head := file.read(8):
        head += _exactly(file, 8 - len(head))
        kind, compression, size = struct.unpack("<HHI", head)
        if kind > _THUMBNAIL or compression > 3:
            got = f"type {kind} with compression {compression}"
            raise _DamagedError(f"expected a known block, got {got}. {_AGAIN}")
        packed_size = size
        if compression:
            head += _exactly(file, 4)
            (packed_size,) = struct.unpack("<I", head[8:])
        if max(size, packed_size) > MAX_BLOCK_BYTES:
            got = max(size, packed_size) >> 20
            rule = f"a block of at most {MAX_BLOCK_BYTES >> 20} MiB"
            raise _DamagedError(f"expected {rule}, got {got} MiB. {_AGAIN}")
        parameters = _exactly(file, 6 if kind == _THUMBNAIL else 2)
        packed = _exactly(file, packed_size)
        if checksum:
            (expected,) = struct.unpack("<I", _exactly(file, 4))
            found = zlib.crc32(head + parameters + packed)
            if found != expected:
                where = f"a {_KINDS[kind]} block" if kind < _THUMBNAIL else "a thumbnail"
                raise _DamagedError(
                    f"expected checksum {expected:08x} of {where}, got {found:08x}. {_AGAIN}"
                )
        if kind != _THUMBNAIL:
            encoding = int.from_bytes(parameters[:2], "little")
            yield _Block(kind, encoding, _decompress(packed, compression, size))


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise _DamagedError(f"expected {size} bytes more, got the end of the file. {_AGAIN}")
    return data


def _decompress(packed: bytes, compression: int, size: int) -> bytes:
    """The data of a block, of exactly the size that its header claims."""
    if compression == 0:
        return packed
    if compression == 1:
        inflate = zlib.decompressobj()
        data = inflate.decompress(packed, size + 1)
    else:
        data = decode_heatshrink(packed, 11 if compression == 2 else 12, 4, size)
    if len(data) != size:
        got = f"{len(data)}" if len(data) < size else "more"
        raise _DamagedError(f"expected a block of {size} bytes, got {got}. {_AGAIN}")
    return data


def decode_heatshrink(packed: bytes, window_bits: int, lookahead_bits: int, size: int) -> bytes:
    """Decodes heatshrink, up to a size.

    A bit 1 is followed by a byte; a bit 0 by how far back to copy from, less 1, and how many bytes,
    less 1. What lies before the beginning is zero.

    Args:
        packed: The bits, most significant first.
        window_bits: Of a distance.
        lookahead_bits: Of a count.
        size: No more bytes than that come out.
    """
    window = 1 << window_bits
    out = bytearray(window)
    end, pair_bits = window + size, window_bits + lookahead_bits
    pair_mask, count_mask = (1 << pair_bits) - 1, (1 << lookahead_bits) - 1
    bits = held = 0
    for byte in packed:
        bits, held = (bits << 8) | byte, held + 8
        while held:
            needed = 9 if bits >> (held - 1) & 1 else 1 + pair_bits
            if held < needed or len(out) >= end:
                break
            held -= needed
            value = bits >> held
            bits &= (1 << held) - 1
            if needed == 9:
                out.append(value & 0xFF)
                continue
            value &= pair_mask
            distance, count = (value >> lookahead_bits) + 1, (value & count_mask) + 1
            first = len(out) - distance
            if count <= distance:
                out += out[first : first + count]
            else:
                pattern = bytes(out[first:])
                out += (pattern * (count // distance + 1))[:count]
    return bytes(out[window:end])


_FULL = 15  # the code of a character that follows as a whole byte
_COMMANDS_ON_OFF = {251: True, 250: False, 249: False}
_COMMANDS_NO_SPACES = {247: True, 246: False}
_WORD = re.compile(rb"(?<=[^\s;])(?=[XYZEFIJRPS][-+.0-9])")


def unpack_meatpack(data: bytes) -> bytes:
    """Unpacks MeatPack: two characters in a byte where both are among the fifteen most frequent.

    The lower half comes first; 15 stands for a whole byte that follows. Twice 0xFF and a third byte
    are a command. Spaces that were left out between words are put back.
    """
    out = bytearray()
    is_on, characters = False, b"0123456789. \nGX"
    num_signals, num_whole, after = 0, 0, -1  # whole bytes awaited; what follows the first of them
    for byte in data:
        if byte == 0xFF and num_signals < 2:
            num_signals += 1
            continue
        if num_signals == 2:
            is_on = _COMMANDS_ON_OFF.get(byte, is_on)
            if byte in _COMMANDS_NO_SPACES:
                space = b"E" if _COMMANDS_NO_SPACES[byte] else b" "
                characters = b"0123456789." + space + b"\nGX"
            num_signals = 0
            continue
        if num_signals:  # one 0xFF alone: two whole bytes follow
            num_signals, num_whole = 0, 2 if is_on else 0
            if not is_on:
                out.append(0xFF)
        low, high = byte & 15, byte >> 4
        if not is_on:
            out.append(byte)
        elif num_whole:
            out.append(byte)
            num_whole -= 1
            if after >= 0:
                out.append(after)
                after = -1
        elif low == _FULL:
            num_whole, after = 1, characters[high]
        else:
            out.append(characters[low])
            if characters[low] == 10:
                continue  # behind the end of a line there is nothing
            if high == _FULL:
                num_whole = 1
            else:
                out.append(characters[high])
    lines = bytes(out).split(b"\n")
    return b"\n".join(_WORD.sub(b" ", line) if line[:1] == b"G" else line for line in lines)
