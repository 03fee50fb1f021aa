"""G-code to moves: every command, every dialect, refusals, and the same path in other spellings."""

import dataclasses
import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcorr.errors import InputError
from jaxcorr.printer.gcode import ENDER3_V2, FEATURES, FULL_STOP_S, Program, parse, read
from jaxcorr.printer.planner import plan_program

DATA = Path(__file__).parent.parent / "data" / "gcode"


def lines(*text: str) -> Program:
    return parse("\n".join(text), "part.gcode")


def ends(program: Program) -> list[tuple[float, ...]]:
    return [tuple(end) for end in program.end_mm.tolist()]


def features(program: Program) -> list[str]:
    return [FEATURES[code] for code in program.feature]


# ---- motion


def test_moves_start_at_the_home_corner_and_join_up():
    program = lines("G1 X10 Y20 F3000", "G0 Z5", "G1 X11 E2")
    assert ends(program) == [(10, 20, 0), (10, 20, 5), (11, 20, 5)]
    assert program.start_mm.tolist() == [[0, 0, 0], [10, 20, 0], [10, 20, 5]]
    assert program.extrude_mm.tolist() == [0, 0, 2]
    assert program.feedrate_mm_s.tolist() == [50, 50, 50]
    assert program.line.tolist() == [1, 2, 3]


def test_dtypes():
    program = lines("G1 X10 E1")
    for array in (program.start_mm, program.end_mm, program.extrude_mm, program.feedrate_mm_s):
        assert array.dtype == np.float64
    assert program.dwell_s.dtype == program.layer_z_mm.dtype == np.float64
    assert program.layer.dtype == program.line.dtype == program.limits_index.dtype == np.int32
    assert program.feature.dtype == np.uint8


def test_move_decides_what_it_is():
    program = lines("M83", ";TYPE:Skirt", "G1 X1 E1", "G1 X2", "G1 X3 E-1", "G1 Z1", "G1 E1")
    assert features(program) == ["skirt", "travel", "travel", "travel", "retraction"]


def test_a_move_to_the_same_place_is_none_but_its_feedrate_holds():
    program = lines("G1 X10 F600", "G1 X10 F1200", "G1 F1800", "G1", "G1 X20")
    assert ends(program) == [(10, 0, 0), (20, 0, 0)]
    assert program.feedrate_mm_s.tolist() == [10, 30]


def test_feedrate_before_the_first_f_is_marlins():
    assert lines("G1 X1").feedrate_mm_s.tolist() == [25]


@pytest.mark.parametrize(
    "text",
    [
        "G1 X10 Y20 E1 F3000",
        "G1 F3000 X10 Y20 E1",
        "g1 x10 y20 e1 f3000",
        "G1X10Y20E1F3000",
        "  G01  F3000 E1\tY20 X10  ; there",
        "G1 X10 (there) Y20 E1 F3000",
        "N4 G1 X10 Y20 E1 F3000*31",
        "G1 X10.000000000001 Y20 E1 F3000",
        "G0 X+10. Y020 E1.0 F3e0".replace("e0", "000"),
        "G1 X10 Y20 E1 F3000 S255",
    ],
)
def test_one_move_in_many_spellings(text):
    program = lines(text)
    assert ends(program) == [(10, 20, 0)]
    assert (program.extrude_mm[0], program.feedrate_mm_s[0]) == (1, 50)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(end):
    program = parse(end.join(["G1 X1", "; note", "", "G1 X2"]), "part.gcode")
    assert program.line.tolist() == [1, 4]


def test_modes_and_offsets():
    program = lines(
        *("G1 X10 E5", "G91", "G1 X10 E1", "G90", "G1 X30 E7"),  # E goes on where it was
        *("M83", "G1 X40 E1", "G91", "G1 X5 E1", "G90", "G1 X50 E1"),  # M83 outlives G90
        *("M82", "G92 X0 E0", "G1 X5 E1", "G92.1", "G1 X60 E2"),
    )
    assert [end[0] for end in ends(program)] == [10, 20, 30, 40, 45, 50, 55, 60]
    assert program.extrude_mm.tolist() == [5, 1, 1, 1, 1, 1, 1, 1]


def test_g92_does_not_interrupt_the_path():
    program = lines("G1 X10 Y10", "G92 X100 Y0 Z7", "G1 X110", "G1 Z8")
    assert ends(program) == [(10, 10, 0), (20, 10, 0), (20, 10, 1)]
    assert np.array_equal(program.start_mm[1:], program.end_mm[:-1])
    assert not program.dwell_s.any()


def test_homing_jumps_to_the_corner_with_a_full_stop():
    program = lines("G92 X-7", "G1 X10 Y10 Z10", "G28 X Y", "G1 X5", "G28", "G1 Y1")
    assert program.start_mm.tolist() == [[0, 0, 0], [0, 0, 10], [0, 0, 0]]
    assert ends(program) == [(17, 10, 10), (5, 0, 10), (0, 1, 0)]
    assert program.dwell_s.tolist() == [0, FULL_STOP_S, FULL_STOP_S]


def test_dwells_add_up_before_the_next_move():
    program = lines("G4 P500", "G1 X1", "G4 S2", "G4 P250", "M400", "G1 X2", "G4", "G1 X3", "G4 S9")
    assert program.dwell_s.tolist() == [0.5, 2.25, FULL_STOP_S]
    assert program.end_dwell_s == 9


def test_feedrate_factor():
    program = lines(
        "G1 X1 F600", "M220 S50", "G1 X2", "M220 B", "M220 S200", "G1 X3", "M220 R", "G1 X4"
    )
    assert program.feedrate_mm_s.tolist() == [10, 5, 20, 5]


def test_limits_are_those_in_force_at_the_move():
    program = lines("G1 X1", "M204 P800", "M205 J0.02", "G1 X2", "M204 S500", "M205 X8", "G1 X3")
    held = [program.limits[i] for i in program.limits_index]
    assert held[0] == held[2] == ENDER3_V2
    assert (held[1].print_accel_mm_s2, held[1].junction_deviation_mm) == (800, 0.02)
    assert held[1].classic_jerk_mm_s is None


# ---- arcs


def test_arc_forms_agree():
    centre = lines("G1 X10", "G3 X0 Y10 I-10 J0 E3 F600")
    radius = lines("G1 X10", "G3 X0 Y10 R10 E3 F600")
    inches = lines("G1 X10", "G20", f"G3 X0 Y{10 / 25.4:.12f} I{-10 / 25.4:.12f} E{3 / 25.4:.12f}")
    for program in (centre, radius, inches):
        assert np.allclose(np.hypot(*program.end_mm[:, :2].T), 10, atol=1e-8)
        assert program.extrude_mm.sum() == pytest.approx(3)
        assert len(program.line) == 1 + 15
        assert set(program.line[1:]) <= {2, 3}
    assert np.allclose(centre.end_mm, radius.end_mm, atol=1e-8)


def test_helix_of_a_spiral_lift():
    # As Creality Print lifts: a full circle, one turn, no X and no Y.
    program = lines("G17", "G1 X50 Y50 Z.2", "G3 Z.6 I1.215 J-.076 P1  F7200")
    turn = program.end_mm[1:]
    assert len(turn) == 24
    assert turn[-1].tolist() == [50, 50, 0.6]
    assert np.allclose(np.diff(turn[:, 2]), 0.4 / 24)
    assert np.allclose(np.hypot(turn[:, 0] - 51.215, turn[:, 1] - 49.924), math.hypot(1.215, 0.076))
    assert features(program)[1:] == ["travel"] * 24


def test_clockwise_and_long_way_round():
    short = lines("G1 X10", "G2 X0 Y10 R10")
    long = lines("G1 X10", "G2 X0 Y10 R-10")
    assert (short.end_mm[1:-1, :2] > 0).all()
    assert (short.end_mm[1:, :2].sum(axis=1) <= 10 + 1e-9).all()  # bulges to the origin
    length = [np.linalg.norm(p.end_mm - p.start_mm, axis=1)[1:].sum() for p in (short, long)]
    assert length == pytest.approx([5 * math.pi, 15 * math.pi], rel=0.003)


# ---- dialects

WALL = [(20, 10), (20, 20), (10, 20), (10, 10)]
DIALECTS = {
    "prusaslicer": ("PrusaSlicer", "outer_wall", "infill"),
    "bambustudio": ("BambuStudio", "outer_wall", "infill"),
    "orcaslicer": ("OrcaSlicer", "outer_wall", "infill"),
    "creality_print": ("Creality Print", "outer_wall", "infill"),
    "cura": ("Cura", "outer_wall", "infill"),
    "slic3r": ("Slic3r", "inner_wall", "infill"),
    "plain": ("unknown", "unknown", "unknown"),
}


def moves_of(program, layer):
    """The moves of one layer, as a program."""
    chosen = program.layer == layer
    arrays = {
        n: v[chosen]
        for n, v in vars(program).items()
        if isinstance(v, np.ndarray) and len(v) == len(chosen)
    }
    return dataclasses.replace(program, **arrays)


@pytest.mark.parametrize("name", DIALECTS)
def test_the_same_part_in_every_dialect(name):
    slicer, wall, infill = DIALECTS[name]
    program = read(DATA / f"{name}.gcode")
    assert program.slicer == slicer
    assert program.unknown_commands == {}
    assert program.layer_z_mm.tolist() == [0.2, 0.4]
    for layer in range(2):
        chosen = moves_of(program, layer)
        is_last = layer == 1  # what follows the last printing move is no layer's
        assert features(chosen) == [
            *("travel", "travel", "retraction"),
            *[wall] * 4,
            *("travel", infill),
            *([] if is_last else ["retraction"]),
        ]
        assert [end[:2] for end in ends(chosen)][3:7] == WALL
        assert chosen.end_mm[:, 2].tolist() == [0.2 * (layer + 1)] * len(chosen.line)
        assert chosen.extrude_mm[2:9] == pytest.approx([1, 0.4, 0.4, 0.4, 0.4, 0, 0.3])
        assert chosen.feedrate_mm_s[:5].tolist() == [10, 150, 40, 30, 30]
    outside = program.layer == -1
    assert outside[:3].all()
    assert outside[-3:].all()


def test_unknown_commands_are_counted_and_known_ones_are_not():
    program = lines(
        *(
            "M104 S200",
            "T0",
            "M73 P1",
            'M117 half way; 50% "x',
            "M486 Aa*b",
            "M900 K0",
        ),
        *("G5 X1", "G5 X2", "M9999", "START_PRINT BED=60", "g1 x1", "EXCLUDE_OBJECT_END NAME=a"),
    )
    assert program.unknown_commands == {"G5": 2, "M9999": 1, "START_PRINT": 1}
    assert ends(program) == [(1, 0, 0)]


# ---- other spellings of the same path

um = st.integers(0, 200_000)
# The last move leads where no other does, so that every path has one.
paths = st.lists(
    st.tuples(um, um, um, st.integers(-300_000, 300_000), st.integers(60, 9000)), max_size=12
).map(lambda path: [*path, (200_001, 0, 0, 0, 600)])


def render(path, *, inches=False, relative=False, e_relative=False, dress=lambda line, _: line):
    unit = 25.4 if inches else 1.0
    digits = 13 if inches else 6
    text = ["G20" if inches else "G21", "G91" if relative else "G90"]
    text.append("M83" if e_relative else "M82")
    here, e_total = (0.0, 0.0, 0.0), 0.0
    for *target_um, e, f in path:
        target = [value / 1000 for value in target_um]
        words = [t - h if relative else t for t, h in zip(target, here, strict=True)]
        push = e / 1e5
        e_word = push if e_relative else e_total + push  # M82 after G91 wins
        here, e_total = target, e_total + push
        values = zip("XYZEF", [*words, e_word, f], strict=True)
        text.append("G1" + "".join(f" {k}{v / unit:.{digits}f}" for k, v in values))
    return "\n".join(dress(line, number) for number, line in enumerate(text, 1))


def with_checksum(line: str, number: int) -> str:
    body = f"N{number} {line}"
    total = 0
    for byte in body.encode():
        total ^= byte
    return f"{body}*{total}"


def same_moves(a: Program, b: Program) -> bool:
    return (
        len(a.line) == len(b.line)
        and np.allclose(a.start_mm, b.start_mm, rtol=0, atol=2e-9)
        and np.allclose(a.end_mm, b.end_mm, rtol=0, atol=2e-9)
        and np.allclose(a.extrude_mm, b.extrude_mm, rtol=0, atol=2e-9)
        and np.allclose(a.feedrate_mm_s, b.feedrate_mm_s, rtol=1e-9)
        and np.array_equal(a.feature, b.feature)
        and np.array_equal(a.layer, b.layer)
    )


@given(path=paths)
@settings(deadline=None)
def test_rendered_moves_come_back(path):
    program = parse(render(path), "random.gcode")
    here, kept = (0.0, 0.0, 0.0), []
    for x, y, z, e, f in path:
        target = (x / 1000, y / 1000, z / 1000)
        if target != here or e:
            kept.append((here, target, e / 1e5, f / 60))
        here = target
    assert len(kept) == len(program.line)
    for i, (start, end, extrude, feedrate) in enumerate(kept):
        assert program.start_mm[i].tolist() == list(start)
        assert program.end_mm[i].tolist() == list(end)
        assert program.extrude_mm[i] == pytest.approx(extrude, abs=2e-9)
        assert program.feedrate_mm_s[i] == pytest.approx(feedrate)


@given(path=paths, inches=st.booleans(), relative=st.booleans(), e_relative=st.booleans())
@settings(deadline=None)
def test_units_and_modes_do_not_change_the_path(path, inches, relative, e_relative):
    text = render(path, inches=inches, relative=relative, e_relative=e_relative)
    assert same_moves(parse(text, "a"), parse(render(path), "b"))


DRESSES = [
    lambda line, _: line.replace(" ", ""),
    lambda line, _: line.lower() + "\r",
    lambda line, _: f"  {line} ; {line}",
    lambda line, number: f"(a){line.replace(' ', ' (b) ')}({number})",
    with_checksum,
]


@given(path=paths, dress=st.sampled_from(DRESSES))
@settings(deadline=None)
def test_dress_does_not_change_the_path(path, dress):
    assert same_moves(parse(render(path, dress=dress), "a"), parse(render(path), "b"))


# ---- what a printer passes over


def passed(program: Program) -> list[tuple[str, str, int, tuple[int, ...]]]:
    return [tuple(one) for one in program.passed_over]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("P0 S1 L1 D0", "P0"),
        ("@OCTOLAPSE TAKE-SNAPSHOT", "@OCTOLAPSE"),
        ("//M85 S180 ; off", "//M85"),
        ("# note", "#"),
        ("%", "%"),
        ("T-1", "T-1"),
        ("F1000", "F1000"),
        ("?", "?"),
        ("1.5", "1.5"),
        ("M9999 X1", "M9999"),
        ("M566 X600", "M566"),
    ],
)
def test_unknown_lines_are_passed_over_and_counted(line, key):
    program = parse(f"G1 X100 F6000\n{line}\nG1 X1\n{line}", "p", firmware="marlin2.0")
    assert ends(program) == [(100, 0, 0), (1, 0, 0)]
    assert program.feedrate_mm_s.tolist() == [100, 100]
    assert program.unknown_commands == {key: 2}
    assert passed(program) == [("unknown command", key, 2, (2, 4))]


@pytest.mark.parametrize("f", ["F0", "F-5", "F-nan(ind)", "Fnan", "F-1.#IND", "Finf", "F", "F--5"])
def test_a_feedrate_that_cannot_be_keeps_the_one_before(f):
    for line in (f"G1 X100 {f}", f"G1 {f} X100", f"G2 X100 I50 {f}"):
        program = lines("G1 F6000", line)
        assert set(program.feedrate_mm_s) == {100.0}
        assert program.end_mm[-1].tolist() == [100, 0, 0]
        assert program.passed_over[0][0] == "feedrate kept"
        assert program.passed_over[0].lines == (2,)


def test_a_huge_feedrate_is_as_fast_as_the_limits_allow():
    program = lines("G1 X100 F99999999999")
    assert plan_program(program).peak_velocity_mm_s == pytest.approx(math.sqrt(500 * 100))
    assert not program.passed_over


@pytest.mark.parametrize(
    "line", ["(***** start *****)", "M0 *** nut ***", 'M291 P"a*b"', "G1 X100*999", "G1 X100 *x"]
)
def test_a_star_without_a_line_number_is_no_checksum(line):
    assert lines(line, "G1 X100 F6000").end_mm[-1].tolist() == [100, 0, 0]


@pytest.mark.parametrize(
    "line",
    ["M203 80", "M203 X0", "M201 Q1", "M204", "M204 P0", "M205 X-1", "M220 S0", "M220 S5000"],
)
def test_a_setting_that_cannot_be_changes_nothing(line):
    program = lines("G1 X1 F600", line, "G1 X2")
    assert program.limits[program.limits_index[-1]] == ENDER3_V2
    assert program.feedrate_mm_s.tolist() == [10, 10]
    assert passed(program) == [("setting kept as it was", line, 1, (2,))]


def test_an_arc_off_its_circle_ends_with_a_straight_piece():
    program = lines("G1 X-150 F3000", "G3 X0 Y-130 I150 F2000", "G1 Y-120")
    assert len(program.line) == 237
    radius = np.hypot(*program.end_mm[:, :2].T)
    assert np.allclose(radius[:-2], 150)
    assert ends(program)[-2:] == [(0, -130, 0), (0, -120, 0)]
    reason = "arc off its circle, drawn as Marlin does"
    assert passed(program) == [(reason, "by up to 20 mm", 1, (2,))]
    half = lines("G3 X10 R4")
    assert half.end_mm[:, 1].min() == pytest.approx(-5, abs=0.05)
    assert passed(half) == [(reason, "by up to 1 mm", 1, (1,))]
    assert not lines("G3 X10 R4.95").passed_over
    assert not lines("G2 X10.05 I5").passed_over


def test_the_first_lines_of_a_kind_are_kept_and_kinds_are_bounded():
    program = lines(*["@a"] * 9, *(f"@b{i}" for i in range(5000)), "G1 X1")
    assert program.passed_over[0] == ("unknown command", "@a", 9, (1, 2, 3))
    assert len(program.passed_over) == 1001
    assert sum(program.unknown_commands.values()) == 5009


# ---- firmware retraction


def test_g10_and_g11_take_their_time():
    program = lines("M207 S2 F1200", "M208 S0.5 F600", "G1 X1 E1 F600", "G10", "G10", "G11", "G11")
    assert program.extrude_mm.tolist() == [1, -2, 2.5]
    assert program.feedrate_mm_s.tolist() == [10, 20, 10]
    assert features(program)[1:] == ["retraction", "retraction"]
    assert lines("G1 E1", "G10", "G1 E2").extrude_mm.tolist() == [1, -3, 1]
    plan = plan_program(program)
    assert (plan.duration_s[1:] > [0.1, 0.25]).all()


def test_g10_lifts_and_the_files_coordinates_stay():
    program = lines("M207 Z0.4", "G1 Z1", "G10", "G1 X5", "G1 X6 Z1.2", "G92 X0 Z7", "G11", "G1 Z8")
    assert [end[2] for end in ends(program)] == [1, 1, 1.4, 1.4, 1.6, 1.2, 1.2, 2.2]


def test_a_retraction_below_the_grid_is_no_move():
    tiny = lines("M207 S0.00000000001 Z0.00000000001", "G1 X1", "G10", "G11", "G1 X2")
    assert len(tiny.line) == 2


def test_g10_of_reprapfirmware_sets_a_tool():
    assert len(lines("G10 P0 S200 R180", "G10 L2 P1 X5", "G1 X1").line) == 1


# ---- refusals


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("G1 X", "expected a number after X, got '' in 'G1 X'."),
        ("G1 X1 X2", "expected X once, got it twice in 'G1 X1 X2'."),
        ("G1 F1 X1 F2", "expected F once, got it twice in 'G1 F1 X1 F2'."),
        ("G1 X1 A2", "expected only words of X Y Z E F S H P, got A in 'G1 X1 A2'."),
        ("G1 Xinf", "expected a number after X, got 'inf' in 'G1 Xinf'."),
        ("G90 G1 X1", "expected one command in a line, got 'G1 X1' after it in 'G90 G1 X1'."),
        ("G1 X10001", "expected X within +-10000 mm, got 10001 mm in 'G1 X10001'."),
        ("G1 Z-1" + "0" * 28, "expected Z within +-10000 mm, got -1e+28 mm in"),
        ("G1 E123456789", "expected E within +-1e+07 mm, got 1.23457e+08 mm in 'G1 E123456789'."),
        ("X10 Y10", "expected a command such as G1, got 'X10 Y10' in 'X10 Y10'."),
        ("G1 X1 (open", "expected a word such as X10, got '(open' in 'G1 X1 (open'."),
        ("N3 T0*58", "expected checksum 57, got 58 in 'N3 T0*58'."),
        ("G4 P-1", "expected a pause of 0 to 100000 s, got -0.001 s in 'G4 P-1'."),
        ("G2 X5 I1 R1", "expected the centre as I and J or the radius as R, got both in"),
        ("G2 X5", "expected the centre as I and J or the radius as R, got neither in 'G2 X5'."),
        ("G2 I5000", "expected an arc of at most 20000 mm, got 31415.9 in 'G2 I5000'."),
        ("G2 I1 P1.5", "expected P as a whole number up to 100, got 1.5 in 'G2 I1 P1.5'."),
        ("G18", "expected arcs in the XY plane (G17), got another plane in 'G18'."),
        ("G92 X99999", "expected X within +-10000 mm, got 99999 mm in 'G92 X99999'."),
    ],
)
def test_malformed_lines_are_refused_with_line_and_text(line, message):
    with pytest.raises(InputError) as refusal:
        parse(f"G1 X1\n; note\n{line}\nG1 X2", "part.gcode")
    assert str(refusal.value).startswith(f"part.gcode:3: {message.rstrip('.')}")
    assert str(refusal.value).endswith(".")


def test_a_relative_walk_out_of_the_machine_is_refused():
    with pytest.raises(InputError, match=r"part.gcode:102: expected X within"):
        lines("G91", *["G1 X100"] * 200)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "part.gcode: expected at least one move, got an empty file. Slice the part again."),
        ("; note\nM104 S200\n", "part.gcode: expected at least one move, got 2 lines without one."),
        ("G1 X1\nGC\0DE", "part.gcode:2: expected G-code as text, got binary data."),
        (
            "G1 X1\n;" + "a" * (3 << 20),
            "part.gcode:2: expected a line of at most 1048576 characters",
        ),
        ("hello world", "part.gcode: expected at least one move, got 1 lines without one."),
    ],
)
def test_what_is_no_gcode_is_refused(text, message):
    with pytest.raises(InputError) as refusal:
        parse(text, "part.gcode")
    assert str(refusal.value).startswith(message)


def test_a_very_long_comment_is_fine():
    assert len(lines("G1 X1 ;" + "a" * 10**6, ";" + "b" * 10**6, "G1 X2").line) == 2


# ---- files


def test_gzip_and_plain_files_read_alike(tmp_path):
    plain = DATA / "prusaslicer.gcode"
    packed = tmp_path / "part.gcode.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert same_moves(read(plain), read(packed))
    packed.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())  # a byte order mark
    assert same_moves(read(plain), read(packed))
    assert same_moves(read(plain), parse("\ufeff" + plain.read_text(), "part.gcode"))


def test_batches_of_lines_do_not_show(tmp_path):
    # Three megabytes, so that lines lie across the borders of what is read at once.
    path = tmp_path / "long.gcode"
    num = 120_000
    path.write_bytes(b"".join(b"G1 X%d.125 Y%d.5 F3000\r\n" % (i % 200, i % 7) for i in range(num)))
    program = read(path)
    assert program.line.tolist() == list(range(1, num + 1))
    assert program.end_mm[:, 0].tolist() == [i % 200 + 0.125 for i in range(num)]


def test_unreadable_files_are_refused(tmp_path):
    broken = tmp_path / "broken.gcode.gz"
    broken.write_bytes(gzip.compress(b"G1 X1\n" * 1000)[:-20])
    for path in (tmp_path / "absent.gcode", tmp_path, broken):
        with pytest.raises(InputError, match=r"expected a readable .gcode, .gcode.gz, .*, got"):
            read(path)
    picture = tmp_path / "picture.gcode"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with pytest.raises(InputError, match=r"picture.gcode:3: expected G-code as text, got binary"):
        read(picture)
