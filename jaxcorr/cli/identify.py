"""The command `identify`: a printer's numbers from traces, resonance files or ringing."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from jaxcorr.cli.options import JsonOption
from jaxcorr.errors import InputError

if TYPE_CHECKING:
    from jaxcorr.identify.printer_file import Identified


class Found(NamedTuple):
    """What `identify` found: for programs, for a printer file, in its head, and for people."""

    numbers: Any
    printer: "Identified | None"
    about: list[str]
    show_fn: Callable[[], None]


def identify(
    measured: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILES",
            help="Klipper's resonance files (.csv); or traces: .mat files, folders, globs.",
        ),
    ] = None,
    ringing_mm: Annotated[
        list[float],
        typer.Option(help="In place of files: from wave to wave on a print; repeat for y."),
    ] = [],
    speed_mm_s: Annotated[float | None, typer.Option(help="Of the print that rings.")] = None,
    sample_rate_hz: Annotated[float, typer.Option(help="Of the traces.")] = 100.0,
    mass_kg: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="X Y", help="Moving masses; the reference's if left out."),
    ] = None,
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
    mass on it, which takes the frequency from f to g, both with the same --modes: what moves has
    that mass over (f / g)^2 - 1.
    """
    paths = [Path(name) for name in measured or []]
    _check_arguments(paths, ringing_mm, speed_mm_s, plot, out)
    from jaxcorr import files
    from jaxcorr.cli import console
    from jaxcorr.identify import printer_file

    if ringing_mm and speed_mm_s is not None:
        found = _from_ringing(ringing_mm, speed_mm_s)
    elif _num_resonances(paths):
        found = _from_resonances(paths, num_modes, plot)
    else:
        found = _from_traces(measured or [], sample_rate_hz)
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
        notes = printer_file.write(out, found.printer, mass_kg, found.about)
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


def _from_resonances(paths: Sequence[Path], num_modes: int | None, plot: Path | None) -> Found:
    from jaxcorr.cli import console
    from jaxcorr.identify import axis_response, figures, wording

    responses = axis_response.identify_files(paths, num_modes)
    if plot is not None:
        figures.draw(responses, plot)

    def show() -> None:
        for one in responses:
            title = f"{one.spectrum.path}: axis {one.spectrum.axis}"
            console.out.print(console.table(title, wording.MODE_COLUMNS, wording.mode_rows(one)))
            table = console.table("", wording.SHAPER_COLUMNS, wording.shaper_rows(one))
            console.out.print(table)
            console.out.print("\n".join([*wording.sentences(one), ""]), markup=False)

    about = wording.about_printer(responses)
    numbers = [wording.describe(one) for one in responses]
    return Found(numbers, axis_response.printer_of(responses), about, show)


def _from_traces(traces: Sequence[str], sample_rate_hz: float) -> Found:
    from jaxcorr.cli import console
    from jaxcorr.models import identification

    console.err.print("fitting the plant to the traces", markup=False)
    found = identification.from_traces(traces, sample_rate_hz)
    table = identification.describe(found, identification.AXES)

    def show() -> None:
        for axis, numbers in table.items():
            _show(axis, numbers)

    about = [f"Identified from {shlex.join(traces)}."]
    return Found(table, identification.printer_of(found), about, show)


UNITS = (
    ("frequency_hz", "frequency", "Hz", 1.0, 3),
    ("damping_ratio", "damping ratio", "", 1.0, 4),
    ("friction_mm", "friction by stiffness", "um", 1e3, 2),
    ("friction_velocity_mm_s", "friction speed", "mm/s", 1.0, 3),
    ("viscous_s", "lag of steady motion", "us", 1e6, 1),
    ("offset_mm", "constant offset", "um", 1e3, 2),
)


def _show(axis: str, numbers: Mapping[str, Any]) -> None:
    from jaxcorr.cli import console

    rows = [_row(numbers, *each) for each in UNITS]
    for each in numbers["stepper"]:
        value, spread = 1e3 * each["amplitude_mm"], each.get("amplitude_mm_plus_minus")
        interval = "" if spread is None else f"+- {1e3 * spread:.2f}"
        name = f"stepper, each {each['period_mm']:g} mm"
        rows.append([name, f"{value:.2f} um", interval, f"phase {each['phase_rad']:.2f} rad"])
    console.out.print(console.table(f"axis {axis}", ["", "value", "95% interval", ""], rows))
    console.out.print(
        f"{axis}: {100 * numbers['unexplained_share']:.3f}% of the error's variance is not "
        f"explained, {1e3 * numbers['unexplained_rms_mm']:.2f} um RMS "
        f"({numbers['num_samples']:,} samples)\n",
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
