"""Small files rewritten end to end: what is gained, what stays, what is refused."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path

import numpy as np
import pytest
from plant_map import PRINTER, solver_of_plant, square_file

from jaxcorr.errors import InputError
from jaxcorr.printer import gcode
from jaxcorr.rewrite import dialect, rewriting


def ignore(*progress):
    del progress


def rewrite(path, out, **options):
    original = rewriting.read(path, PRINTER, rewriting.Options(**options))
    seen = []
    follow = lambda *progress: seen.append(progress)  # noqa: E731
    proved = rewriting.rewrite(original, solver_of_plant(), PRINTER, out, "toy", follow)
    assert seen[-1] == ("proving", len(proved.layers), len(proved.layers))
    return original, proved


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rewritten")
    path = square_file(folder / "square.gcode", newline="\r\n")
    return path, folder / "out.gcode", *rewrite(path, folder / "out.gcode")


def test_walls_gain_and_nothing_else_changes(done):
    path, out, _, proved = done
    assert proved.left == ()
    one = proved.summary
    assert one.after.contour_um < 0.4 * one.before.contour_um
    assert one.after.rms_um < 0.4 * one.before.rms_um
    assert abs(proved.time_s[1] / proved.time_s[0] - 1.0) < 0.03
    assert one.pieces_per_s < 120
    lines, made = path.read_bytes().split(b"\r\n"), out.read_bytes().split(b"\r\n")
    assert b"\n" not in out.read_bytes().replace(b"\r\n", b"")
    assert made[1].startswith(b"; corrected by jaxcorr: toy")
    # What is no wall and no way to one stands there, in order.
    kept = [line for line in lines if not re.match(rb"G1 X[13]0|G1 X28 Y30.5", line)]
    rest = iter(made)
    assert all(line in rest for line in kept)


def test_each_move_extrudes_what_it_did_and_ends_near_its_end(done):
    path, out, original, _ = done
    before, after = gcode.read(path), gcode.read(out)
    assert before.extrude_mm.sum() == pytest.approx(after.extrude_mm.sum(), abs=1e-9)
    ends = before.end_mm[original.selection.is_judged]
    pushed = np.cumsum(np.where(before.extrude_mm > 0, before.extrude_mm, 0))
    pushed = pushed[original.selection.is_judged]
    again = np.cumsum(np.where(after.extrude_mm > 0, after.extrude_mm, 0))
    for end, amount in zip(ends, pushed, strict=True):
        place = int(np.argmin(np.abs(again - amount)))
        assert again[place] == pytest.approx(amount, abs=1e-8)
        assert np.linalg.norm(after.end_mm[place] - end) < 0.3


def test_limits_are_put_back_before_what_is_not_corrected(done):
    _, out, _, _ = done
    after = gcode.read(out)
    accel = np.array([one.print_accel_mm_s2 for one in after.limits])[after.limits_index]
    infill = after.feature == gcode.FEATURES.index("infill")
    assert set(accel[infill]) == {1000.0}
    assert accel[after.feature == gcode.FEATURES.index("outer_wall")].min() == 3000.0
    assert set(np.round(after.feedrate_mm_s[infill], 6)) == {60.0}


@pytest.mark.skipif(importlib.util.find_spec("pyGCodeDecode") is None, reason="dev only")
def test_the_result_goes_through_pygcodedecode(done):
    import pyGCodeDecode
    from pyGCodeDecode.gcode_interpreter import setup, simulation

    presets = Path(pyGCodeDecode.__file__).parent / "data/default_printer_presets.yaml"
    machine = setup(presets_file=presets, printer="prusa_mini")
    machine.set_initial_position((0.0, 0.0, 0.0, 0.0))
    with contextlib.redirect_stdout(io.StringIO()):
        other = simulation(done[1], initial_machine_setup=machine, verbosity_level=0)
    after = gcode.read(done[1])
    end = other.blocklist[-1].get_segments()[-1].pos_end.get_vec()
    np.testing.assert_allclose(end[:3], after.end_mm[-1], atol=1e-6)


def test_what_was_corrected_is_not_corrected_again(done):
    _, out, _, _ = done
    with pytest.raises(InputError, match=r"out.gcode:2: .* corrected already. Take the original"):
        rewriting.read(out, PRINTER, rewriting.Options())


def test_absolute_filament_and_one_layer(tmp_path):
    path = square_file(tmp_path / "absolute.gcode", head=("M82",), layers=1)
    text, e = [], 0.0
    for line in path.read_text().splitlines():
        if found := re.search(r" E(-?[0-9.]+)", line):
            e += float(found[1])
            line = line.replace(found[0], f" E{e:.5f}")
        text.append(line)
    path.write_text("\n".join(text))
    _, proved = rewrite(path, tmp_path / "out.gcode", layers="1")
    assert proved.summary.extruded_mm[1] == pytest.approx(proved.summary.extruded_mm[0], abs=1e-9)
    assert proved.summary.after.contour_um < 0.4 * proved.summary.before.contour_um


def thick_file(path, share):
    """For Klipper, with lines of so much of the filament that it takes by default."""
    e = share * dialect.KLIPPER_E_PER_MM[0] * 10.0
    lines = ["SET_VELOCITY_LIMIT ACCEL=3000", "M83", ";LAYER_CHANGE", ";TYPE:Outer wall"]
    lines += ["G1 X40 Y40 F900", f"G1 X50 E{e:.5f}", f"G1 Y50 E{e:.5f}"]
    lines += [f"G1 X49.9 E{e / 100:.5f}", f"G1 X40 E{e * 0.99:.5f}"]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def test_a_wide_nozzles_lines_show_what_their_klipper_takes(tmp_path):
    path = thick_file(tmp_path / "wide.gcode", 3.0)
    original = rewriting.read(path, PRINTER, rewriting.Options())
    assert original.selection.is_judged.sum() == 4
    most = original.board.most_e_per_mm
    assert most == dialect.KLIPPER_E_PER_MM[3]  # 0.8 mm, four times 0.4 mm
    _, proved = rewrite(path, tmp_path / "out.gcode")
    assert proved.summary.most_e_per_mm[1] <= most
    assert proved.left == ()
    fine = thick_file(tmp_path / "fine.gcode", 0.5)
    most = rewriting.read(fine, PRINTER, rewriting.Options()).board.most_e_per_mm
    assert most == dialect.KLIPPER_E_PER_MM[0]


def test_a_failed_proof_leaves_no_file(tmp_path, monkeypatch):
    path = square_file(tmp_path / "square.gcode", layers=1)
    before = path.read_bytes()
    original = rewriting.read(path, PRINTER, rewriting.Options())
    monkeypatch.setattr(rewriting.proof, "digest", lambda path: str(path))
    with pytest.raises(InputError, match=r"expected every line of square.gcode that is no move"):
        rewriting.rewrite(original, solver_of_plant(), PRINTER, path, "toy", ignore)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_layer_with_too_thick_a_piece_stays_as_it_was(tmp_path, monkeypatch):
    path, out = square_file(tmp_path / "square.gcode", layers=2), tmp_path / "out.gcode"
    solve = rewriting._solve

    def squeezed(*arguments):
        edits = solve(*arguments)
        i = int(
            np.flatnonzero((edits[2].extrude_mm[1:] > 0.0) & (edits[2].extrude_mm[:-1] > 0.0))[0]
        )
        edits[2].end_mm[i + 1] = edits[2].end_mm[i] + (1e-3, 0.0, 0.0)
        return edits

    monkeypatch.setattr(rewriting, "_solve", squeezed)
    original = rewriting.read(path, PRINTER, rewriting.Options())
    proved = rewriting.rewrite(original, solver_of_plant(), PRINTER, out, "toy", ignore)
    assert proved.left == (2,)
    after = gcode.read(out)
    assert (after.layer == 1).sum() == (original.program.layer == 1).sum()
    assert (after.layer == 0).sum() > (original.program.layer == 0).sum()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("M200 D1.75", "expected E in mm of filament, got volumetric extrusion in 'M200 D1.75'"),
        ("G20", "expected millimetres, got inches in 'G20'"),
        ("N5 G1 X3", "expected lines without numbers and checksums, got 'N5 G1 X3'"),
    ],
)
def test_refuses_what_it_cannot_rewrite(tmp_path, line, message):
    path = square_file(tmp_path / "square.gcode", head=("M83", line))
    with pytest.raises(InputError, match=re.escape(message)):
        rewriting.read(path, PRINTER, rewriting.Options())
