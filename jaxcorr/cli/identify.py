"""The commands that take measurements: `identify` and `import`.

A printer's numbers come from traces, resonance files or ringing; traces from a machine's logs.
"""

import dataclasses
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from jaxcorr import progress
from jaxcorr.cli.options import JsonOption
from jaxcorr.errors import InputError
from jaxcorr.units import unit_of

if TYPE_CHECKING:
    from jaxcorr.data.log_file import Axis, Layout
    from jaxcorr.data.measured import LogNote
    from jaxcorr.identify.printer_file import Identified

# As printer_spec's, which takes longer to import than all of the help.
Kinematics = Literal["cartesian", "corexy"]


class Found(NamedTuple):
    """What `identify` found: for programs, for a printer file, in its head, and for people."""

    numbers: Any
    printer: "Identified | None"
    about: list[str]
    show_fn: Callable[[], None]
    mass_kg: tuple[float, float] | None = None  # where the measurement told both


def identify(
    measured: Annotated[
        list[str] | None,
        typer.Argument(
            help="Klipper's resonance files (.csv); or traces: .mat files, folders, globs."
        ),
    ] = None,
    ringing_mm: Annotated[
        list[float],
        typer.Option(
            metavar="NUMBER",
            help="In place of files: from wave to wave on a print; repeat for y.",
        ),
    ] = [],
    speed_mm_s: Annotated[float | None, typer.Option(help="Speed of the print that rings.")] = None,
    sample_rate_hz: Annotated[
        float | None, typer.Option(help="Rate of the traces; that of the first if left out.")
    ] = None,
    kinematics: Annotated[
        Kinematics | None,
        typer.Option(help="Of the printer; in traces, what explains more if left out."),
    ] = None,
    mass_kg: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="X Y", help="Moving masses; the reference's if left out."),
    ] = None,
    added_kg: Annotated[
        list[float],
        typer.Option(
            metavar="NUMBER",
            help="Mass added to the axis in each resonance file, in their order: tells what moves.",
        ),
    ] = [],
    num_modes: Annotated[
        int | None,
        typer.Option("--modes", min=1, max=2, help="Fit so many; two if one does not do."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the resonance files and the fit into this file.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write a printer file for --printer (.toml), or the numbers (.json)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Finds a printer's frequencies, dampings and friction, with 95% intervals where they are told.

    Traces tell all of it. Klipper's files of TEST_RESONANCES AXIS=X and AXIS=Y, spectra or
    OUTPUT=raw_data, tell frequency and damping: one mode is fitted, or two, by simulating the test,
    and ZV and MZV are set on the file and on the model as Klipper sets them. Ringing on a print,
    waves of --ringing-mm at --speed-mm-s, tells the frequency alone.

    An accelerometer does not tell friction: record a few slow lines in both directions and identify
    them as traces, or pull the axis with a spring scale, and add friction_n to the file. Nor does
    it tell mass from stiffness: weigh what moves and give --mass-kg; or test once more with a known
    mass on it, and give every file's --added-kg and the same --modes for all: 1 / f^2 is a line
    over it.
    """
    paths = [Path(name) for name in measured or []]
    _check_arguments(paths, ringing_mm, speed_mm_s, plot, out, added_kg)
    from jaxcorr import files
    from jaxcorr.cli import console
    from jaxcorr.identify import printer_file

    if ringing_mm and speed_mm_s is not None:
        found = _from_ringing(ringing_mm, speed_mm_s)
    elif _num_resonances(paths):
        found = _from_resonances(paths, num_modes, plot, added_kg)
    else:
        found = _from_traces(measured or [], sample_rate_hz, kinematics)
    if found.printer is not None and kinematics is not None:
        found = found._replace(printer=found.printer._replace(kinematics=kinematics))
    notes: list[str] = []
    if out is not None and out.suffix == ".json":
        files.write_json(out, found.numbers)
    elif out is not None:
        if found.printer is None:
            names = ", ".join(path.name for path in paths)
            raise InputError(
                f"--out: expected one file of x and one of y for a printer file, got {names}. "
                "Give both."
            )
        notes = printer_file.write(out, found.printer, mass_kg or found.mass_kg, found.about)
    if as_json:
        print(json.dumps(found.numbers))
        return
    found.show_fn()
    for what, path in (("drawn", plot), ("written", out)):
        if path is not None:
            console.out.print(f"{what}: {path}", markup=False)
    for note in notes:
        console.out.print(note, markup=False)


def _check_arguments(
    paths: Sequence[Path],
    ringing_mm: Sequence[float],
    speed_mm_s: float | None,
    plot: Path | None,
    out: Path | None,
    added_kg: Sequence[float],
) -> None:
    """Refuses arguments that do not go together, before the work."""
    num_csv = _num_resonances(paths)
    if bool(ringing_mm) != (speed_mm_s is not None):
        raise InputError(
            "identify: expected --ringing-mm and --speed-mm-s together, got one. Give the other."
        )
    if bool(ringing_mm) == bool(paths):
        got = "both" if paths else "neither"
        raise InputError(
            f"identify: expected files, or --ringing-mm with --speed-mm-s, got {got}. Give either."
        )
    if num_csv not in (0, len(paths)):
        raise InputError(
            "identify: expected traces or resonance files (.csv), got both. Identify them one "
            "after the other."
        )
    if added_kg and not num_csv:
        raise InputError("--added-kg: expected resonance files (.csv), got none. Leave it out.")
    if plot is not None and not num_csv:
        raise InputError("--plot: expected resonance files (.csv), got none. Leave it out.")
    if plot is not None:
        from jaxcorr import plotting

        plotting.check_paths(plot)
    if out is not None and (out.suffix not in (".toml", ".json") or not out.parent.is_dir()):
        raise InputError(
            f"--out: expected a file that ends in .toml or .json in a folder that exists, got "
            f"'{out}'. Choose another name."
        )


def _num_resonances(paths: Sequence[Path]) -> int:
    return sum(path.suffix.lower() == ".csv" for path in paths)


def _from_ringing(ringing_mm: Sequence[float], speed_mm_s: float) -> Found:
    from jaxcorr.cli import console
    from jaxcorr.identify import printer_file

    found = printer_file.of_ringing(ringing_mm, speed_mm_s)
    x_hz, y_hz = found.frequency_hz
    text = f"x {x_hz:.2f} Hz, y {y_hz:.2f} Hz, from ringing at {speed_mm_s:g} mm/s"
    damping = f"The damping ratio is not told: {found.damping_ratio[0]:g}, a usual one, is taken."
    numbers = {"frequency_hz": list(found.frequency_hz)}

    def show() -> None:
        console.out.print(f"{text}\n{damping}", markup=False)

    return Found(numbers, found, [f"{text}.", damping], show)


def _from_resonances(
    paths: Sequence[Path], num_modes: int | None, plot: Path | None, added_kg: Sequence[float]
) -> Found:
    from jaxcorr.cli import console
    from jaxcorr.identify import axis_response, figures, weighings, wording

    responses = axis_response.identify_files(paths, num_modes)
    weighed = weighings.weigh(responses, added_kg) if added_kg else []
    if plot is not None:
        figures.draw(responses, plot)

    def show() -> None:
        for one in responses:
            title = f"{one.spectrum.path}: axis {one.spectrum.axis}"
            console.out.print(console.table(title, wording.MODE_COLUMNS, wording.mode_rows(one)))
            table = console.table("", wording.SHAPER_COLUMNS, wording.shaper_rows(one))
            console.out.print(table)
            console.out.print("\n".join([*wording.sentences(one), ""]), markup=False)
        for one in weighed:
            console.out.print("\n".join(wording.weighing_sentences(one)), markup=False)

    about = wording.about_printer(responses)
    numbers: list[Any] = [wording.describe(one) for one in responses]
    numbers += [wording.describe_weighing(one) for one in weighed]
    # What is written is the axis as it is, without the masses.
    bare = [one for i, one in enumerate(responses) if not added_kg or added_kg[i] == 0.0]
    moving = {one.axis: one.moving_kg for one in weighed}
    masses = (moving["x"], moving["y"]) if len(moving) == 2 else None
    return Found(numbers, axis_response.printer_of(bare), about, show, masses)


def _from_traces(
    traces: Sequence[str], sample_rate_hz: float | None, kinematics: Kinematics | None
) -> Found:
    progress.begin("fitting the plant to the traces")
    from jaxcorr.cli import console
    from jaxcorr.models import identification

    found = identification.from_traces(traces, sample_rate_hz, kinematics)
    table = identification.describe(found, identification.AXES)
    about = [f"Identified from {shlex.join(traces)}."]
    if identification.kinematics_of(found) == "corexy":
        about.append(
            "It is a CoreXY: friction and stepper at x are those of the motor of x + y, at y those "
            "of the motor of x - y."
        )

    def show() -> None:
        for axis, numbers in table.items():
            _show(axis, numbers)
        for sentence in about[1:]:
            console.out.print(sentence, markup=False)

    return Found(table, identification.printer_of(found), about, show)


UNITS = (
    ("frequency_hz", "frequency", "Hz", 1.0, 3),
    ("damping_ratio", "damping ratio", "", 1.0, 4),
    ("friction_mm", "friction by stiffness", "um", 1e3, 2),
    ("friction_velocity_mm_s", "friction speed", "mm/s", 1.0, 3),
    ("viscous_s", "lag of steady motion", "us", 1e6, 1),
    ("offset_mm", "constant offset", "um", 1e3, 2),
    ("other_friction_mm", "the other motor's friction", "um", 1e3, 2),
)


def _show(axis: str, numbers: Mapping[str, Any]) -> None:
    from jaxcorr.cli import console

    rows = [_row(numbers, *each) for each in UNITS if each[0] in numbers]
    for each in numbers["stepper"]:
        value, spread = 1e3 * each["amplitude_mm"], each.get("amplitude_mm_plus_minus")
        interval = "" if spread is None else f"+- {1e3 * spread:.2f}"
        name = f"stepper, each {each['period_mm']:g} mm"
        rows.append([name, f"{value:.2f} um", interval, f"phase {each['phase_rad']:.2f} rad"])
    console.out.print(console.table(f"axis {axis}", ["", "value", "95% interval", ""], rows))
    console.out.print(
        f"{axis}: {100 * numbers['unexplained_share']:.3f}% of the error's variance is not "
        f"explained, {1e3 * numbers['unexplained_rms_mm']:.2f} um RMS "
        f"({numbers['num_samples']:,} samples)",
        markup=False,
    )


def _row(
    numbers: Mapping[str, Any], key: str, name: str, unit: str, factor: float, digits: int
) -> list[str]:
    interval = numbers.get(f"{key}_95")
    between = (
        f"{factor * interval[0]:.{digits}f} to {factor * interval[1]:.{digits}f}"
        if interval
        else "not told by these traces"
    )
    note = "at its bound" if key in numbers["at_bound"] else ""
    return [name, f"{factor * numbers[key]:.{digits}f} {unit}".rstrip(), between, note]


def import_logs(
    logs: Annotated[list[Path], typer.Argument(help="CSV, TSV, .npz or .mat files.")],
    kind: Annotated[
        str | None, typer.Option("--format", help="duet | halsampler | sinumerik | emps.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column of the time stamps.")] = None,
    command: Annotated[
        list[str],
        typer.Option(metavar="COLUMN", help="A commanded position; once for each axis."),
    ] = [],
    actual: Annotated[
        list[str],
        typer.Option(metavar="COLUMN", help="An actual position; once for each axis."),
    ] = [],
    axis: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="An axis, in the same order; x y z if left out."),
    ] = [],
    units: Annotated[str | None, typer.Option(help="Unit of positions: mm | m | um | in.")] = None,
    unit_mm: Annotated[
        float | None, typer.Option(help="One unit of position in mm, such as 0.2 for a step.")
    ] = None,
    time_units: Annotated[str | None, typer.Option(help="Of time stamps: s | ms | us.")] = None,
    log_rate_hz: Annotated[
        float | None, typer.Option(help="Rate of the log's samples, in place of --time.")
    ] = None,
    rate_hz: Annotated[
        float | None, typer.Option(help="Rate of the traces; the log's own if left out.")
    ] = None,
    shortest_s: Annotated[float, typer.Option(help="Shortest trace.")] = 1.0,
    longest_s: Annotated[float, typer.Option(help="Longest trace.")] = 60.0,
    out: Annotated[Path, typer.Option(help="Folder to make for the traces.")] = Path("traces"),
    as_json: JsonOption = False,
) -> None:
    """Makes traces from logs of a real machine, and says what was done to them."""
    from jaxcorr.data import measured

    for name, value in (("unit-mm", unit_mm), ("log-rate-hz", log_rate_hz), ("rate-hz", rate_hz)):
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"--{name}: expected a number > 0, got {value:g}. Change it.")
    if not 0 < shortest_s <= longest_s:
        raise InputError(
            f"--shortest-s: expected a number > 0 and at most --longest-s {longest_s:g}, got "
            f"{shortest_s:g}. Change one of them."
        )
    axes = _axes(command, actual, axis)
    factors = (_factor(units, unit_mm), _time_factor(time_units))
    layouts = {path: _layout(path, kind, axes, time, log_rate_hz, factors) for path in logs}
    cutting = measured.Cutting(rate_hz, shortest_s, longest_s)
    notes = []
    for note in measured.import_logs(layouts, cutting, out):
        notes.append(note)
        if not as_json:
            _show_note(note)
    if as_json:
        print((out / measured.NOTE).read_text(encoding="utf-8"), end="")
    else:
        _show_next(notes, out, len(notes[0].axes))


def _axes(command: Sequence[str], actual: Sequence[str], names: Sequence[str]) -> "list[Axis]":
    from jaxcorr.data.log_file import Axis

    if len(command) != len(actual):
        raise InputError(
            f"--actual: expected one for each --command, got {len(actual)} for {len(command)}. "
            "Name both columns of each axis."
        )
    known = names or "xyz"[: len(command)]
    if command and len(known) != len(command):
        raise InputError(
            f"--axis: expected {len(command)} names, got {len(known)}. Name each axis once."
        )
    for name in known:
        if not (name.isidentifier() and name.isascii() and name[0].isalpha()):
            raise InputError(
                f"--axis: expected letters, digits and _, got '{name}'. Rename the axis."
            )
        if unit_of(f"{name}_ref") != "mm":
            raise InputError(
                f"--axis: expected a name that is no speed's, got '{name}': {name}_ref would be "
                f"taken for {unit_of(f'{name}_ref')}. Rename the axis."
            )
    if len(set(known)) < len(known):
        raise InputError(f"--axis: expected distinct names, got {' '.join(known)}. Rename one.")
    return [Axis(*each) for each in zip(known, command, actual, strict=False)]


def _factor(units: str | None, unit_mm: float | None) -> float | None:
    """One unit of position, mm; None where a format knows it."""
    from jaxcorr.data.log_file import UNITS_MM

    if units is not None and unit_mm is not None:
        raise InputError(
            f"--unit-mm: expected --units or it, got {units} and {unit_mm:g}. Drop one."
        )
    if units is not None and units not in UNITS_MM:
        known = ", ".join(UNITS_MM)
        raise InputError(
            f"--units: expected one of {known}, got '{units}'. Give any other as --unit-mm."
        )
    return UNITS_MM[units] if units is not None else unit_mm


def _time_factor(units: str | None) -> float | None:
    from jaxcorr.data.log_file import TIME_UNITS_S

    if units is not None and units not in TIME_UNITS_S:
        known = ", ".join(TIME_UNITS_S)
        raise InputError(f"--time-units: expected one of {known}, got '{units}'. Change it.")
    return None if units is None else TIME_UNITS_S[units]


def _layout(
    path: Path,
    kind: str | None,
    axes: "Sequence[Axis]",
    time: str | None,
    log_rate_hz: float | None,
    factors: tuple[float | None, float | None],
) -> "Layout":
    """What the format says, and above it what the command line says."""
    from jaxcorr.data import log_file

    if kind is not None:
        layout = log_file.layout_of(kind, path)
        layout = dataclasses.replace(layout, axes=tuple(axes)) if axes else layout
    elif not axes:
        raise InputError(
            f"{path}: expected --command and --actual, or --format, got neither; its columns are "
            f"{', '.join(log_file.names_of(path))}. Name those of the positions."
        )
    else:
        layout = log_file.Layout(tuple(axes))
    unit_mm, time_unit_s = factors
    given = {"unit_mm": unit_mm, "time_unit_s": time_unit_s, "time": time}
    if log_rate_hz is not None:
        given |= {"log_rate_hz": log_rate_hz}
        layout = dataclasses.replace(layout, time=None)
    return dataclasses.replace(layout, **{k: v for k, v in given.items() if v is not None})


def _show_note(note: "LogNote") -> None:
    """Prints what was found in a log and what became of it."""
    from rich.markup import escape

    from jaxcorr.cli import console

    columns = (
        "axis", "mm", "peak mm/s", "error RMS um", "mean um", "lag ms", "resolution um", "values",
    )  # fmt: skip
    rows = [
        [
            axis.axis,
            f"{axis.range_mm[0]:.1f}..{axis.range_mm[1]:.1f}",
            f"{axis.peak_speed_mm_s:.1f}",
            f"{axis.rms_um:.2f}",
            f"{axis.mean_um:.2f}",
            f"{axis.lag_ms:.2f}",
            f"{axis.resolution_um:.3g}",
            f"{axis.num_distinct:,}",
        ]
        for axis in note.axes
    ]
    console.out.print(console.table(escape(note.log), columns, rows))
    in_motion = sum(piece.begins_in_motion for piece in note.pieces)
    made = sum(piece.num_samples for piece in note.pieces)
    lines = [
        f"{note.num_samples:,} samples became {len(note.pieces)} traces of {made:,} samples at "
        f"{note.rate_hz:g} Hz; {in_motion} begin in motion",
        *([f"axes that never move, left out: {', '.join(note.left_out)}"] if note.left_out else []),
        *note.remarks,
    ]
    console.out.print("\n".join([*lines, ""]), markup=False)


def _show_next(notes: "Sequence[LogNote]", out: Path, num_axes: int) -> None:
    from jaxcorr.cli import console
    from jaxcorr.data.measured import NOTE

    names = [axis.axis for axis in notes[0].axes]
    features = [f"{name}_ref" for name in names] + [f"v{name}_ref" for name in names]
    data = {"traces": [f"{out}/*.mat"]}
    if num_axes != 2 or names != ["x", "y"]:
        data |= {"features": features, "targets": [f"error_{name}" for name in names]}
    settings = [f"data.{key}={json.dumps(value)}" for key, value in data.items()]
    if notes[0].rate_hz != 100:
        settings.append(f"data.sample_rate_hz={notes[0].rate_hz:g}")
    words = " ".join(f"--set {shlex.quote(each)}" for each in settings)
    console.out.print(f"note: {out / NOTE}", markup=False)
    console.show_next(f"train specs/own_traces.toml {words}")
