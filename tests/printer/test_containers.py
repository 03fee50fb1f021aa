"""containers.py: what was packed comes out again, and what is damaged or a bomb is refused."""

import gzip
import io
import random
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcorr import files
from jaxcorr.errors import InputError
from jaxcorr.printer import containers, gcode

TEXT = "G1 X10 Y-2.5 E.25 F1200\nG28\nM104 S200 ; warm\n;LAYER_CHANGE\nG1 X1 E0.5\nG0 X3 Y4\n"
PLAIN = TEXT.encode()


# ---- encoders, written from the published formats


def heatshrink(data: bytes, window_bits: int, lookahead_bits: int) -> bytes:
    """Greedy heatshrink: the longest match in the window, or a literal."""
    bits: list[str] = []
    window, longest, i = 1 << window_bits, 1 << lookahead_bits, 0
    while i < len(data):
        best, at = 0, 0
        for j in range(max(0, i - window), i):
            count = 0
            while count < longest and i + count < len(data) and data[j + count] == data[i + count]:
                count += 1
            if count > best:
                best, at = count, i - j
        if best > 2:
            bits.append(f"0{at - 1:0{window_bits}b}{best - 1:0{lookahead_bits}b}")
            i += best
        else:
            bits.append(f"1{data[i]:08b}")
            i += 1
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


def meatpack(lines: list[str], *, keeps_comments: bool) -> bytes:
    """MeatPack with spaces left out of G lines; comments dropped, or written unpacked."""
    table = {character: code for code, character in enumerate("0123456789.E\nGX")}
    out = bytearray(b"\xff\xff\xfb\xff\xff\xf7")
    for line in lines:
        if line.startswith(";"):
            if keeps_comments:
                out += b"\xff\xff\xfa" + line.encode() + b"\n" + b"\xff\xff\xfb"
            continue
        line = line.partition(";")[0].strip()
        line = (line.replace(" ", "") if line.startswith("G") else line) + "\n"
        if len(line) % 2:
            line += "\n"
        for first, second in zip(line[::2], line[1::2], strict=True):
            low, high = table.get(first, 15), table.get(second, 15)
            out.append(low | high << 4)
            out += b"".join(c.encode() for c, k in ((first, low), (second, high)) if k == 15)
    return bytes(out) + b"\xff\xff\xf9"


def block(kind: int, data: bytes, compression: int = 0, encoding: int = 0, checksum=True) -> bytes:
    packers = (
        bytes,
        zlib.compress,
        lambda data: heatshrink(data, 11, 4),
        lambda data: heatshrink(data, 12, 4),
    )
    packed = packers[compression](data)
    head = struct.pack("<HHI", kind, compression, len(data))
    head += struct.pack("<I", len(packed)) if compression else b""
    body = head + struct.pack("<H", encoding) + packed
    return body + (struct.pack("<I", zlib.crc32(body)) if checksum else b"")


def binary(*blocks: bytes, checksum: int = 1) -> bytes:
    return struct.pack("<4sIH", b"GCDE", 1, checksum) + b"".join(blocks)


SLICERS = block(2, b"gcode_flavor=klipper\nlayer_height=0.2\n", compression=1)
PRINTS = block(4, b"estimated printing time (normal mode)=1m 5s\n")
PICTURE = b"\x05\0\0\0\x03\0\0\0" + b"\0\0\x10\0\x10\0" + b"png"
PICTURE += struct.pack("<I", zlib.crc32(PICTURE))


def write(tmp_path, content: bytes, name: str = "part.bgcode"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def text_of(path) -> str:
    with containers.open_text(path) as stream:
        return stream.read()


def refusal(tmp_path, content: bytes, name: str = "part.gcode") -> str:
    with pytest.raises(InputError) as problem:
        gcode.read(write(tmp_path, content, name))
    return str(problem.value)


# ---- round trips


@given(
    data=st.binary(max_size=300), repeats=st.integers(1, 4), window_bits=st.sampled_from([11, 12])
)
@settings(deadline=None)
def test_heatshrink_round_trip(data, repeats, window_bits):
    data = data * repeats
    packed = heatshrink(data, window_bits, 4)
    assert containers.decode_heatshrink(packed, window_bits, 4, len(data)) == data


def test_heatshrink_of_a_known_stream():
    # "aaaaa": the letter, then 4 bytes from 1 back: 1 01100001, 0 00000000000 0011.
    packed = int("1" + "01100001" + "0" + "0" * 11 + "0011" + "0" * 7, 2).to_bytes(4, "big")
    assert containers.decode_heatshrink(packed, 11, 4, 5) == b"aaaaa"
    assert containers.decode_heatshrink(packed, 11, 4, 3) == b"aaa"


@pytest.mark.parametrize("compression", range(4))
@pytest.mark.parametrize("encoding", range(3))
@pytest.mark.parametrize("checksum", [0, 1])
def test_binary_gcode_reads_as_its_text(tmp_path, compression, encoding, checksum):
    lines = TEXT.splitlines()
    data = meatpack(lines, keeps_comments=encoding == 2) if encoding else PLAIN
    halves = [data] if encoding else [data[:40], data[40:]]
    made = [block(1, half, compression, encoding, checksum == 1) for half in halves]
    meta = [] if checksum == 0 else [PICTURE, PRINTS, SLICERS]
    path = write(tmp_path, binary(*meta, *made, checksum=checksum))
    program, plain = gcode.read(path), gcode.parse(TEXT, "part.gcode")
    assert program.end_mm.tolist() == plain.end_mm.tolist()
    assert program.feedrate_mm_s.tolist() == plain.feedrate_mm_s.tolist()
    assert program.extrude_mm.tolist() == plain.extrude_mm.tolist()
    if encoding != 1:
        assert program.line.tolist() == plain.line.tolist()
        assert program.num_layers == 1
    if checksum:
        assert (program.firmware, program.slicer_time_s) == ("klipper", 65)


def test_meatpack_takes_what_is_no_pair():
    lines = ["G1 X1.5 Y2 E3", "M117 ~ab", "G92 E0", "G1Y1", "G0 X9"]
    text = containers.unpack_meatpack(meatpack(lines, keeps_comments=False)).decode()
    assert [line for line in text.splitlines() if line] == [
        *("G1 X1.5 Y2 E3", "M117 ~ab", "G92 E0", "G1 Y1", "G0 X9"),
    ]


def archive(*names: str, content: bytes = PLAIN) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("3D/3dmodel.model", "<model/>")
        for name in names:
            file.writestr(name, content)
    return made.getvalue()


def test_other_containers_read_as_their_text(tmp_path):
    for name, content in {
        "part.gcode.3mf": archive("Metadata/plate_1.gcode", "Metadata/plate_1.gcode.md5"),
        "part.zip": archive("part.gcode"),
        "part.gcode.gz": gzip.compress(PLAIN),
        "part.gcode": b"\xef\xbb\xbf" + PLAIN,
        "named_wrongly.gcode": gzip.compress(PLAIN),
        "latin.gcode": PLAIN + b"; f\xfcr\n",
    }.items():
        assert gcode.read(write(tmp_path, content, name)).end_mm[-1].tolist() == [3, 4, 0]


# ---- refusals


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.encode("utf-16"), "expected G-code as text, got UTF-16 text. Save it as UTF-8 text"),
        (TEXT.encode("utf-16-le"), "expected G-code as text, got UTF-16 text."),
        (TEXT.encode("utf-16-be"), "expected G-code as text, got UTF-16 text."),
        (gzip.compress(TEXT.encode("utf-16")), "expected G-code as text, got UTF-16 text."),
        (b"7z\xbc\xaf\x27\x1c\0", "expected G-code as text, got a 7z archive."),
        (archive(), "expected Metadata/plate_1.gcode in the archive, got none. Slice the project"),
        (
            archive("Metadata/plate_1.gcode", "Metadata/plate_2.gcode"),
            "expected one plate of G-code, got 2 (Metadata/plate_1.gcode, Metadata/plate_2.gcode).",
        ),
        (binary(block(1, PLAIN))[:-30], "expected 79 bytes more, got the end of the file."),
        (b"GCDE\2\0\0\0\1\0", "expected version 1 with checksum 0 or 1, got version 2"),
        (binary(block(9, PLAIN)), "expected a known block, got type 9 with compression 0."),
        (binary(block(1, PLAIN, encoding=7)), "expected encoding 0 to 2, got 7."),
    ],
    # The contents hold the time of day: workers would disagree on names made of them.
    ids=[
        *("utf-16", "utf-16-le", "utf-16-be", "gzip", "7z", "no plate", "two plates"),
        *("cut", "version", "block", "encoding"),
    ],
)  # fmt: skip
def test_what_is_no_gcode_is_refused_with_the_way_out(tmp_path, content, message):
    text = refusal(tmp_path, content)
    assert text.startswith(f"part.gcode: {message.rstrip('.')}")
    assert text.endswith(".")


def test_a_wrong_checksum_is_refused(tmp_path):
    damaged = bytearray(binary(block(1, PLAIN)))
    damaged[30] ^= 1
    assert "of a G-code block, got" in refusal(tmp_path, bytes(damaged))


def test_a_block_of_another_size_than_it_claims_is_refused(tmp_path):
    packed = zlib.compress(bytes(1000))
    for claimed, got in ((999, "more"), (1001, "1000")):
        head = struct.pack("<HHIIH", 1, 1, claimed, len(packed), 0)
        message = refusal(tmp_path, binary(head + packed, checksum=0))
        assert f"expected a block of {claimed} bytes, got {got}." in message
    head = struct.pack("<HHI", 1, 0, 1 << 31)
    message = refusal(tmp_path, binary(head, checksum=0))
    assert "expected a block of at most 64 MiB, got 2048 MiB." in message


def test_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "MAX_TEXT_BYTES", 1 << 20)
    bomb = b"G1 X1\n" * (1 << 19)
    plate = archive("Metadata/plate_1.gcode", content=bomb)
    lying = plate.replace(struct.pack("<I", len(bomb)), struct.pack("<I", 100))
    many = binary(*[block(1, b"\n" * 60000, 1)] * 20)
    for content in (gzip.compress(bomb), plate, many):
        assert "expected at most 1 MiB of G-code, got" in refusal(tmp_path, content)
    refusal(tmp_path, lying)


def test_what_only_a_repetition_packs_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LITTLE_BYTES", 1 << 16)
    bomb = b"G1 X1\n" * (1 << 16)
    blocks = binary(*[block(1, bomb, 1)] * 2)
    for content in (gzip.compress(bomb), archive("Metadata/plate_1.gcode", content=bomb), blocks):
        assert "expected at most 0 MiB of what is packed more than 100-f" in refusal(
            tmp_path, content
        )


def test_a_gzip_of_a_few_bytes_was_cut(tmp_path):
    assert "ended before the end-of-stream marker" in refusal(tmp_path, b"\x1f\x8b\x08")


@given(seed=st.integers(0, 2**32), count=st.integers(1, 20))
@settings(deadline=None)
def test_damaged_containers_are_refused_in_one_line(tmp_path_factory, seed, count):
    rng = random.Random(seed)
    whole = rng.choice(
        [
            binary(SLICERS, block(1, PLAIN, rng.randrange(4)), checksum=1),
            binary(
                block(1, meatpack(TEXT.splitlines(), keeps_comments=True), 0, 2, False), checksum=0
            ),
            archive("Metadata/plate_1.gcode"),
        ]
    )
    damaged = bytearray(whole)
    for _ in range(count):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    path = write(tmp_path_factory.mktemp("damaged"), bytes(damaged))
    text = "."
    try:
        gcode.read(path)
    except InputError as problem:
        text = str(problem)
    assert text.isprintable()
    assert text.endswith(".")
