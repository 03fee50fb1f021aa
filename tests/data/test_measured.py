"""Logs made into traces: a motion that is known, at other rates, cut, described, refused."""

import json

import numpy as np
import pytest

from jaxcorr.data import measured, trace
from jaxcorr.data.log_file import Axis, Layout
from jaxcorr.data.measured import Cutting
from jaxcorr.errors import InputError

LAYOUT = Layout((Axis("x", "cmd", "act"),), time="t")
LAG_S = 0.005


def strokes(num=3, rate_hz=500.0):
    """Strokes of 50 mm in 1 s with rests of half a second, and an axis that follows 5 ms late."""
    time = np.arange(0, 1.5 * num + 0.2, 1 / rate_hz)

    def position(t):
        count, phase = np.divmod(t - 0.25, 1.5)
        share = np.clip(phase, 0, 1)
        done = share - np.sin(2 * np.pi * share) / (2 * np.pi)
        back = np.where(count % 2 == 1, 1 - done, done)
        return 50 * np.where(count < 0, 0.0, back)

    return {"t": time, "cmd": position(time), "act": position(time - LAG_S)}


def save(folder, columns, name="log"):
    path = folder / f"{name}.npz"
    np.savez(path, **columns)
    return path


def make(path, out, layout=LAYOUT, **cutting):
    (note,) = measured.import_logs({path: layout}, Cutting(**cutting), out)
    return note


def test_pieces_are_the_motion_that_was_logged(tmp_path):
    note = make(save(tmp_path, strokes()), tmp_path / "traces", rate_hz=100.0)
    assert [piece.begins_in_motion for piece in note.pieces] == [False] * len(note.pieces)
    assert len(note.pieces) == 3
    assert note.rate_hz == 100.0
    for piece in note.pieces:
        made = trace.read(tmp_path / "traces" / piece.file)
        at = piece.first / 500 + made.fields["time"]
        true = strokes()
        np.testing.assert_allclose(
            made.fields["x_ref"], np.interp(at, true["t"], true["cmd"]), atol=2e-3
        )
        error = np.interp(at, true["t"], true["act"] - true["cmd"])
        np.testing.assert_allclose(made.fields["error_x"], error, atol=1e-3)
        moved = np.sum(made.fields["vx_ref"]) / 100
        np.testing.assert_allclose(moved, np.ptp(made.fields["x_ref"]) * np.sign(moved), rtol=1e-3)
        np.testing.assert_allclose(
            made.fields["x_act"] - made.fields["x_ref"], made.fields["error_x"], atol=1e-9
        )
    written = json.loads((tmp_path / "traces" / measured.NOTE).read_text())
    assert written["logs"][0]["pieces"][1]["first"] == note.pieces[1].first


def test_the_note_tells_lag_resolution_and_range(tmp_path):
    columns = strokes()
    columns["act"] = np.round(columns["act"] / 0.05) * 0.05
    note = make(save(tmp_path, columns), tmp_path / "traces")
    axis = note.axes[0]
    assert axis.lag_ms == pytest.approx(1e3 * LAG_S, rel=0.05)
    assert axis.resolution_um == pytest.approx(50.0)
    assert axis.num_distinct == len(np.unique(np.round(columns["act"], 9)))
    np.testing.assert_allclose(axis.range_mm, (0, 50), atol=1e-6)
    assert note.rate_hz == 500.0
    assert any("few steps of the position's 50 um" in remark for remark in note.remarks)


def test_uneven_stamps_are_resampled(tmp_path):
    columns, generator = strokes(), np.random.default_rng(0)
    late = columns["t"] + generator.uniform(0, 5e-4, len(columns["t"]))
    uneven = {"t": late} | {k: np.interp(late, columns["t"], columns[k]) for k in ("cmd", "act")}
    note = make(save(tmp_path, uneven), tmp_path / "traces", rate_hz=100.0)
    made = trace.read(tmp_path / "traces" / note.pieces[0].file)
    at = late[note.pieces[0].first] + made.fields["time"]
    np.testing.assert_allclose(
        made.fields["x_ref"], np.interp(at, columns["t"], columns["cmd"]), atol=2e-3
    )
    assert 0.2 < note.jitter_ms < 0.6


def test_a_long_log_is_split_in_motion_and_says_so(tmp_path):
    note = make(save(tmp_path, strokes()), tmp_path / "a", shortest_s=0.2, longest_s=0.5)
    assert any(piece.begins_in_motion for piece in note.pieces)
    assert all(piece.duration_s <= 0.51 for piece in note.pieces)
    assert note.pieces[0].first == 0
    assert note.pieces[-1].last == note.num_samples - 1
    follows = zip(note.pieces[:-1], note.pieces[1:], strict=True)
    assert all(one.last + 1 == other.first for one, other in follows)
    assert len(make(save(tmp_path, strokes()), tmp_path / "b", shortest_s=60.0).pieces) == 1


def test_several_axes_units_and_an_axis_that_rests(tmp_path):
    columns = strokes()
    columns |= {"cmd2": columns["cmd"][::-1] / 1e3, "act2": columns["act"][::-1] / 1e3}
    columns = {k: v if k == "t" or k[-1] == "2" else v / 1e3 for k, v in columns.items()}
    columns |= {"still": np.full(len(columns["t"]), 0.1)}
    axes = (Axis("a", "cmd", "act"), Axis("joint_2", "cmd2", "act2"), Axis("z", "still", "still"))
    layout = Layout(axes, log_rate_hz=500.0, unit_mm=1e3)
    note = make(save(tmp_path, columns), tmp_path / "traces", layout=layout)
    assert note.left_out == ["z"]
    assert [axis.axis for axis in note.axes] == ["a", "joint_2"]
    made = trace.read(tmp_path / "traces" / note.pieces[0].file)
    assert {"joint_2_ref", "vjoint_2_ref", "error_joint_2"} <= made.fields.keys()
    assert np.abs(made.fields["vjoint_2_ref"]).max() == pytest.approx(100.0, rel=0.01)


def test_swapped_columns_offsets_and_fast_parts_are_remarked(tmp_path):
    columns = strokes()
    swapped = {"t": columns["t"], "cmd": columns["act"], "act": columns["cmd"]}
    note = make(save(tmp_path, swapped), tmp_path / "a")
    assert "are the two columns swapped" in note.remarks[0]
    note = make(save(tmp_path, columns | {"act": columns["act"] + 3}), tmp_path / "b")
    assert "mostly a constant" in note.remarks[0]
    ringing = columns["act"] + 0.5 * np.sin(2 * np.pi * 120 * columns["t"])
    note = make(save(tmp_path, columns | {"act": ringing}), tmp_path / "c", rate_hz=100.0)
    assert "too fast for this rate" in note.remarks[-1]


def bend(name, at, value):
    columns = strokes()
    columns[name] = columns[name].copy()
    columns[name][at:] += value
    return columns


@pytest.mark.parametrize(
    ("columns", "cutting", "message"),
    [
        (bend("t", 700, 0.1), {}, r"t: expected at most 7 ms between samples, got 102 ms before"
         r" sample 700, at 1\.5 s \(1 such\)\. Cut the log there into two files\."),
        (bend("t", 700, -0.1), {}, r"t: expected rising time stamps, got 1\.3 after 1\.398 at "
         "sample 700"),
        (bend("act", 700, 0.4), {}, r"act - cmd: expected no jump, got 0\.4 mm in 2 ms at sample"
         r" 700, at 1\.4 s \(1 such\)"),
        (bend("cmd", 700, 90.0), {}, r"cmd: expected no jump, got 90 mm in 2 ms at sample 700"),
        (bend("act", 700, np.nan), {}, r"act: expected finite values, got nan at sample 700 \(1650 "
         r"such\)"),
        (strokes(), {"rate_hz": 1000.0}, r"expected at most the log's own 500 Hz, got 1000 Hz"),
        (strokes(), {"rate_hz": 5.0}, r"expected traces of 20 to 2000 Hz, got 5 Hz"),
        (strokes() | dict.fromkeys(("cmd", "act"), np.zeros(2350)), {}, "that moves, got 0 mm"),
    ],
)  # fmt: skip
def test_logs_that_lie_are_refused_and_leave_nothing(tmp_path, columns, cutting, message):
    with pytest.raises(InputError, match=message):
        make(save(tmp_path, columns), tmp_path / "traces", **cutting)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.npz"]


def test_layouts_without_time_or_length_are_refused(tmp_path):
    path = save(tmp_path, strokes())
    with pytest.raises(InputError, match=r"Give --time COLUMN, or --log-rate-hz\."):
        make(path, tmp_path / "a", layout=Layout(LAYOUT.axes))
    with pytest.raises(InputError, match="expected the length of one step, got none"):
        make(path, tmp_path / "a", layout=Layout(LAYOUT.axes, "t", unit_mm=np.nan))


def test_a_folder_that_is_there_and_two_logs_of_a_name_are_refused(tmp_path):
    path = save(tmp_path, strokes())
    (tmp_path / "more").mkdir()
    other = save(tmp_path / "more", strokes())
    with pytest.raises(InputError, match="expected a new folder for the traces, got one"):
        make(path, tmp_path / "more")
    with pytest.raises(InputError, match="log: expected one log of this name, got two"):
        list(measured.import_logs({path: LAYOUT, other: LAYOUT}, Cutting(), tmp_path / "traces"))
