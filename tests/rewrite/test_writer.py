"""Lines written for pieces: filament, ends, limits and modes of files of all dialects."""

import gzip
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plant_map import PRINTER

from jaxcorr.printer import drive, gcode
from jaxcorr.rewrite import dialect, pieces, proof, rewriting

FILES = sorted((Path(__file__).parent.parent / "data" / "gcode").glob("*.gcode"))
PARTS = Path(gcode.__file__).parent.parent / "parts"
SIZE_MM = 0.05


class Waves:
    """A solver whose correction is a wave, from nothing."""

    network = SimpleNamespace(knot_rate_hz=100.0)

    def __init__(self, size_mm):
        self.size_mm = size_mm

    def knots(self, plans):
        rate_hz = self.network.knot_rate_hz
        for plan in plans:
            wave = np.sin(40.0 * np.arange(drive.count_knots(plan, rate_hz)) / rate_hz)
            yield self.size_mm * np.stack([wave, -wave], axis=1)


def write(path, features=("all",), size_mm=SIZE_MM, **options):
    """Reads a file, writes it with that correction, and reads what was written."""
    original = rewriting.read(path, PRINTER, rewriting.Options(features=features, **options))
    edits = rewriting._solve(original, Waves(size_mm), PRINTER, lambda *_: None)
    out = path.with_name("out.gcode")
    rewriting._write(original, edits, out, "toy")
    return original.program, gcode.read(out, original.program.firmware, PRINTER), out, edits


def check(before, after, edits):
    """Filament of each layer, the way, and limits of all that is not corrected."""
    assert after.num_layers == before.num_layers
    assert after.firmware == before.firmware
    for layer in range(before.num_layers):
        pushed = [float(one.extrude_mm[one.layer == layer].sum()) for one in (before, after)]
        assert pushed[1] == pytest.approx(pushed[0], abs=1e-6)
    # Every end of an original move is one of the written ends, up to the correction.
    step = np.diff(after.end_mm[:, :2], axis=0)
    assert np.linalg.norm(step, axis=1).max() < 400.0
    for end in before.end_mm[before.layer >= 0]:
        assert np.linalg.norm(after.end_mm - end, axis=1).min() < 2.0 * SIZE_MM
    lines = np.concatenate([one.line for one in edits.values()])
    kept = ~np.isin(before.line, lines)
    found = {
        (*np.round(end, 3), round(feedrate, 4), after.limits[limits])
        for end, feedrate, limits in zip(
            after.end_mm, after.feedrate_mm_s, after.limits_index, strict=True
        )
    }
    # A move along Z alone stays where the corrected one before it has ended.
    kept &= np.append(np.diff(before.line) > 0, True)  # an arc ends where it did
    for i in np.flatnonzero(kept & (before.start_mm != before.end_mm)[:, :2].any(axis=1)):
        end, limits = np.round(before.end_mm[i], 3), before.limits[before.limits_index[i]]
        assert (*end, round(before.feedrate_mm_s[i], 4), limits) in found


@pytest.mark.parametrize("source", FILES, ids=lambda path: path.stem)
def test_files_of_slicers(source, tmp_path):
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes())
    before, after, out, edits = write(path)
    check(before, after, edits)
    assert proof.digest(path) == proof.digest(out)


def test_a_whole_file_of_a_slicer(tmp_path):
    path = tmp_path / "boat.gcode"
    path.write_bytes(gzip.decompress((PARTS / "boat.gcode.gz").read_bytes()))
    before, after, out, edits = write(path, layers="4,5")
    assert sorted(edits) == [4, 5]
    assert proof.digest(path) == proof.digest(out)
    pushed = [np.bincount(one.layer + 1, one.extrude_mm) for one in (before, after)]
    np.testing.assert_allclose(*pushed, atol=1e-6)
    kept, rest = path.read_text().splitlines(), iter(out.read_text().splitlines())
    replaced = set(np.concatenate([one.line for one in edits.values()]).tolist())
    assert all(line in rest for i, line in enumerate(kept, 1) if i not in replaced)


HEADS = {
    "classic jerk": ["M201 X900 Y900", "M204 P800 T800", "M205 X9 Y9"],
    "junction deviation": ["M204 P800 T800", "M205 J0.02"],
    "klipper": ["SET_VELOCITY_LIMIT ACCEL=2000 SQUARE_CORNER_VELOCITY=4"],
    "reprapfirmware": ["M98 P0", "M201 X900 Y900", "M204 P800 T800", "M566 X500 Y500"],
    "offset": ["M204 P800 T800", "G92 X3 Y-2"],
    "slowed": ["M204 P800 T800", "M220 S50"],
}
BODY = """;LAYER_CHANGE
;TYPE:Outer wall
G1 X1 Y0 F1200 ; away
G1 E.02
G1 X2 Y1 E.05
M204 P700
G3 X1 Y2 I-1 J0 E.07
G1 X0 Y2 E.04 F900
;TYPE:Sparse infill
G1 X.5 Y1 E.03
G1 X.5 Y.5
;TYPE:Outer wall
G1 X0 Y0 E.05
G1 E-.02
"""


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("is_relative", [True, False])
def test_dialects(head, is_relative, tmp_path):
    body, e = BODY, 0.0
    if not is_relative:
        for word in re.findall(r"E-?[.0-9]+", BODY):
            e += float(word[1:])
            body = body.replace(word, f"E {e:.3f}", 1)
    path = tmp_path / "part.gcode"
    mode = "M83" if is_relative else "M82"
    path.write_text("\n".join([*HEADS[head], mode, "G92 E0", body]), encoding="utf-8")
    before, after, out, edits = write(path, ("outer_wall",))
    check(before, after, edits)
    raised = [limits for limits in after.limits if limits not in before.limits]
    assert raised
    assert after.limits[after.limits_index[-1]] == before.limits[before.limits_index[-1]]
    text = out.read_text()
    assert text.count("; away") == 1
    assert "G3" not in text


@settings(max_examples=12)
@given(
    points=st.lists(
        st.tuples(
            st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 90000), st.integers(3, 60)
        ),
        min_size=2,
        max_size=8,
    ),
    is_relative=st.booleans(),
)
def test_any_walls_push_what_they_did(points, is_relative, tmp_path_factory):
    path = tmp_path_factory.mktemp("walls") / "part.gcode"
    lines, e = [";LAYER_CHANGE", ";TYPE:Outer wall", "G1 X40 Y40 F3000"], 0
    for x, y, push, speed in points:
        e = push if is_relative else e + push
        lines.append(f"G1 X{x / 100} Y{y / 100} E{e / 1e5:.5f} F{60 * speed}")
    lines += ["G1 X41 Y40 E1" if is_relative else f"G1 X41 Y40 E{e / 1e5 + 1:.5f}"]
    head = ["M83" if is_relative else "M82", "M204 P900 T900", "G92 E0"]
    path.write_text("\n".join([*head, *lines, ""]), encoding="utf-8")
    before, after, _, edits = write(path)
    check(before, after, edits)
    moves = after.feature == gcode.FEATURES.index("outer_wall")
    way = np.linalg.norm(after.end_mm - after.start_mm, axis=1)[moves]
    assert way.min(initial=1.0) > 0.0


def check_pieces(before, after):
    """Each piece of printing moves is long enough for the board and for its filament."""
    board = dialect.board_of(before, PRINTER)
    (own_way, own_push), (way, push) = map(way_and_push, (before, after))
    own = np.searchsorted(np.cumsum(own_push), np.cumsum(push) - push / 2)
    most = np.maximum(board.most_e_per_mm, own_push / own_way)[own]
    assert np.all(push / way <= most * 1.001 + 2e-3)  # E is rounded
    is_part = np.bincount(own)[own] > 1
    least = np.where(is_part, board.shortest_mm, pieces.LEAST_SHARE * own_way[own])
    assert np.all(way > least - 2.0 * pieces.STEP_MM)


def way_and_push(program):
    way = np.linalg.norm(program.end_mm - program.start_mm, axis=1)
    kept = (way > 0) & (program.extrude_mm > 0)
    return way[kept], program.extrude_mm[kept]


@settings(max_examples=16)
@given(
    ways=st.lists(st.integers(1, 60), min_size=8, max_size=12),
    share=st.floats(0.7, 0.9),
    size=st.floats(0.1, 0.2),
    kinds=st.integers(0, 4095),
)
def test_short_walls_stay_as_long_as_their_filament_needs(
    ways, share, size, kinds, tmp_path_factory
):
    path = tmp_path_factory.mktemp("short") / "part.gcode"
    lines = [
        "SET_VELOCITY_LIMIT ACCEL=3000",
        "M83",
        ";LAYER_CHANGE",
        ";TYPE:Outer wall",
        "G1 F240",
    ]
    place = np.array([40.0, 40.0])
    for i, way in enumerate(ways):
        place += way / 100 * np.array([(1, 0), (0, 1), (-1, 0)][i % 3])
        push = share * dialect.KLIPPER_E_PER_MM[0] * way / 100
        kind = ";TYPE:Sparse infill" if kinds >> i & 1 else ";TYPE:Outer wall"
        lines += [kind, f"G1 X{place[0]:.2f} Y{place[1]:.2f} E{push:.5f}"]
    lines += [";TYPE:Outer wall", "G1 X45 Y40 E.2", ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    before, after, _, _ = write(path, ("outer_wall",), size_mm=size)
    check_pieces(before, after)
