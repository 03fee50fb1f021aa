"""What was packed is corrected inside and packed again; all else in it stays."""

import gzip
import struct
import zipfile
import zlib

from jaxcorr.printer import containers
from jaxcorr.rewrite import packing

TEXT = b"; a file\r\nG1 X10 E1\r\n" * 5000


def block(kind, data, encoding=0):
    made = struct.pack("<HHIH", kind, 0, len(data), encoding) + data
    return made + struct.pack("<I", zlib.crc32(made))


def change(original, out):
    """Packs a text that is its original in capitals; returns what is read from the result."""
    with (
        packing.opened(original) as text,
        packing.packed(original, text, out) as made,
    ):
        made.write_bytes(text.read_bytes().replace(b"; a file", b"; A FILE"))
        folder = text.parent
    assert not folder.exists() or folder == original.parent
    with containers.open_bytes(out) as stream:
        return stream.read()


def test_plain_text_is_itself(tmp_path):
    path = tmp_path / "a.gcode"
    path.write_bytes(TEXT)
    assert change(path, tmp_path / "b.gcode") == TEXT.replace(b"; a file", b"; A FILE")


def test_gzip(tmp_path):
    path = tmp_path / "a.gcode.gz"
    path.write_bytes(gzip.compress(TEXT))
    assert change(path, tmp_path / "b.gcode.gz") == TEXT.replace(b"; a file", b"; A FILE")


def test_the_other_entries_of_an_archive_stay(tmp_path):
    path, out = tmp_path / "a.gcode.3mf", tmp_path / "b.gcode.3mf"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Metadata/plate_1.png", b"picture")
        archive.writestr("Metadata/plate_1.gcode", TEXT)
        archive.writestr("Metadata/plate_1.gcode.md5", b"0" * 32)
    changed = TEXT.replace(b"; a file", b"; A FILE")
    assert change(path, out) == changed
    with zipfile.ZipFile(out) as archive:
        assert archive.read("Metadata/plate_1.png") == b"picture"
        assert archive.read("Metadata/plate_1.gcode.md5") != b"0" * 32
        assert len(archive.namelist()) == 3


def test_blocks_of_a_binary_file_stay(tmp_path):
    path, out = tmp_path / "a.bgcode", tmp_path / "b.bgcode"
    blocks = [block(0, b"Producer=PrusaSlicer\n"), block(1, TEXT[:40]), block(1, TEXT[40:])]
    head = b"GCDE" + struct.pack("<IH", 1, 1)
    path.write_bytes(head + b"".join(blocks))
    with containers.open_bytes(path) as stream:
        whole = stream.read()
    assert whole.endswith(b"; Producer = PrusaSlicer\n")
    assert change(path, out) == whole.replace(b"; a file", b"; A FILE")
    made = out.read_bytes()
    assert made.startswith(head + blocks[0])
    assert made.count(struct.pack("<HH", 1, 0)) >= len(TEXT) // packing.BLOCK_BYTES
