"""Rewritten G-code back in what the original was packed in: gzip, `.gcode.3mf` or `.bgcode`.

The other entries of an archive, and the other blocks of a binary file, are copied as they are.
G-code of a binary file is written uncompressed, which its readers have to take.

Source: Prusa, libbgcode, doc/specifications.md.
"""

import contextlib
import gzip
import hashlib
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from jaxcorr import files
from jaxcorr.printer import containers

_ZIP, _GZIP, _BINARY = b"PK\x03\x04", b"\x1f\x8b", b"GCDE"
_GCODE, _THUMBNAIL = 1, 5  # kinds of blocks of a binary file
BLOCK_BYTES = 1 << 16


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The path of a file's plain text, which is the file itself unless it is packed.

    Raises:
        InputError: it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        text = path
        with containers.open_bytes(path) as packed:
            if _kind(path) is not None:
                text = stack.enter_context(files.scratch_folder()) / path.name
                with text.open("wb") as out:
                    shutil.copyfileobj(packed, out)
        yield text


@contextlib.contextmanager
def packed(original: Path, unpacked: Path, out: Path) -> Iterator[Path]:
    """Lends a path for plain text, which is packed as the original is where it is packed.

    Args:
        original: the file.
        unpacked: its text, as `opened` gives it.
        out: the file to be written, whole or not at all.
    """
    kind = _kind(original)
    if kind is None:
        yield out
        return
    write = {_ZIP: _write_archive, _GZIP: _write_gzip, _BINARY: _write_binary}[kind]
    text = unpacked.with_name(f"corrected_{unpacked.name}")
    yield text
    with files.write_whole(out) as partial:
        write(original, unpacked, text, partial)


def _kind(path: Path) -> bytes | None:
    """The first bytes of what a file is packed in; None for plain text."""
    with path.open("rb") as file:
        head = file.read(4)
    return next((kind for kind in (_ZIP, _GZIP, _BINARY) if head.startswith(kind)), None)


def _write_gzip(original: Path, unpacked: Path, text: Path, out: Path) -> None:
    del original, unpacked
    with text.open("rb") as source, gzip.open(out, "wb") as packed:
        shutil.copyfileobj(source, packed)


def _write_archive(original: Path, unpacked: Path, text: Path, out: Path) -> None:
    """The plate is replaced, and its checksum where the archive has one."""
    del unpacked
    content = text.read_bytes()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest().upper()
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(out, "w") as packed:
        plate = containers.plates_of(source)[0].filename
        for entry in source.infolist():
            replaced = {plate: content, f"{plate}.md5": digest.encode()}.get(entry.filename)
            data = source.read(entry) if replaced is None else replaced
            packed.writestr(entry, data, zipfile.ZIP_DEFLATED)


def _write_binary(original: Path, unpacked: Path, text: Path, out: Path) -> None:
    """Blocks of G-code take the text; what the reader has put behind it stays metadata."""
    content = text.read_bytes()
    with original.open("rb") as source, out.open("wb") as packed:
        head = source.read(10)
        packed.write(head)
        has_checksum = struct.unpack("<4sIH", head)[2] == 1
        is_written = False
        for kind, block in _blocks(source, has_checksum):
            if kind != _GCODE:
                packed.write(block)
            elif not is_written:
                is_written = True
                for part in _parts(content[: len(content) - _num_added(original, unpacked)]):
                    packed.write(_gcode_block(part, has_checksum))


def _num_added(original: Path, unpacked: Path) -> int:
    """Bytes of metadata behind the G-code of an unpacked binary file."""
    with original.open("rb") as source:
        return unpacked.stat().st_size - containers.count_gcode_bytes(source)


def _parts(content: bytes) -> Iterator[bytes]:
    """Blocks of whole lines."""
    first = 0
    while first < len(content):
        behind = content.rfind(b"\n", first, first + BLOCK_BYTES) + 1
        behind = behind if behind > first else min(first + BLOCK_BYTES, len(content))
        yield content[first:behind]
        first = behind


def _gcode_block(data: bytes, has_checksum: bool) -> bytes:
    block = struct.pack("<HHIH", _GCODE, 0, len(data), 0) + data
    return block + (struct.pack("<I", zlib.crc32(block)) if has_checksum else b"")


def _blocks(source: IO[bytes], has_checksum: bool) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of each block of a binary file that has been read before."""
    while head := source.read(8):
        kind, compression, size = struct.unpack("<HHI", head)
        if compression:
            more = source.read(4)
            head, size = head + more, struct.unpack("<I", more)[0]
        rest = size + (6 if kind == _THUMBNAIL else 2) + (4 if has_checksum else 0)
        yield kind, head + source.read(rest)
