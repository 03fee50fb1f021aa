"""Inspection of trace files: what each holds, whether it can be trained on, and a drawing of it.

The checks are those of training; a file that they refuse gets its line here and stops no other.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import plotting
from jaxcorr.data import trace, trace_checks
from jaxcorr.data.trace import Trace
from jaxcorr.errors import InputError
from jaxcorr.printer_spec import SOURCES


class Row(NamedTuple):
    """One file's figures, each None where the file or the fields for it could not be read.

    Attributes:
        ranges_mm, rms_um: of the positions and errors of its axes, by name.
        left_out: fields that are no column of its samples, and what they are; training passes over
            them too.
        unclear: a sentence for each axis that moves and has no error, but a field that looks like
            one.
    """

    path: str
    part: str | None
    num_samples: int | None
    duration_s: float | None
    sample_rate_hz: float | None
    ranges_mm: dict[str, tuple[float, float] | None] | None
    peak_speed_mm_s: float | None
    rms_um: dict[str, float | None] | None
    max_error_um: float | None
    problem: str | None
    left_out: Mapping[str, str] = MappingProxyType({})
    unclear: tuple[str, ...] = ()


def inspect(patterns: list[str], sample_rate_hz: float) -> list[Row]:
    """Reads and checks every file that the patterns match.

    Raises:
        InputError: a pattern matches nothing.
    """
    return [_inspect_file(path, sample_rate_hz) for path in trace.find(patterns)]


def _inspect_file(path: Path, sample_rate_hz: float) -> Row:
    try:
        found = trace.read(path, _needed)
    except InputError as error:
        return Row(str(path), *(None,) * (len(Row._fields) - 4), problem=str(error))
    problem = None
    try:
        trace_checks.check(found, sample_rate_hz, _needed([*found.fields, *found.left_out]))
    except InputError as error:
        problem = str(error)
    return _describe(found, problem)


def _needed(names: Sequence[str]) -> list[str]:
    return [*trace.fields_of(trace.axes_of(names)), "time"]


def _describe(found: Trace, problem: str | None) -> Row:
    fields, axes = found.fields, trace.axes_of(found.fields)
    time = _finite(fields.get("time"))
    duration_s = float(time[-1] - time[0]) if len(time) else 0.0
    return Row(
        path=str(found.path),
        part=found.part,
        num_samples=found.num_samples,
        duration_s=duration_s if duration_s > 0 else None,
        sample_rate_hz=(len(time) - 1) / duration_s if duration_s > 0 else None,
        ranges_mm={axis: _range(fields.get(f"{axis}_ref")) for axis in axes},
        peak_speed_mm_s=_peak([fields.get(f"v{axis}_ref") for axis in axes]),
        rms_um={axis: _rms_um(fields.get(f"error_{axis}")) for axis in axes},
        max_error_um=_peak([fields.get(f"error_{axis}") for axis in axes], 1e3),
        problem=problem,
        left_out={n: kind for n, kind in found.left_out.items() if not _is_column(kind, found)},
        unclear=tuple(_find_unclear([*fields, *found.left_out], axes)),
    )


def _is_column(kind: str, found: Trace) -> bool:
    """Whether a field, as a file describes it, has a number for each sample."""
    sides, _, what = kind.partition(" ")
    return sides in (f"{found.num_samples}x1", f"1x{found.num_samples}") and " " not in what


def _find_unclear(names: Collection[str], axes: Sequence[str]) -> list[str]:
    """What may be the error of an axis that is not among these."""
    moving = [name.removesuffix("_ref") for name in names if name.endswith("_ref")]
    known = ("error_", "lag_", "is_", *SOURCES)
    others = [
        n for n in names if not n.startswith(known) and not n.endswith(("_ref", "_act", "_cmd"))
    ]
    sentences = []
    for axis in moving:
        if axis in axes or f"v{axis}_ref" not in names:
            continue
        expected = f"error_{axis}"
        found = [name for name in others if name.endswith(f"_{axis}")]
        found += difflib.get_close_matches(expected, others, n=1, cutoff=trace_checks.SIMILAR)
        if found:
            sentences.append(
                f"{axis} is left out: expected '{expected}', got '{found[0]}'. Rename that field, "
                "if it is actual - reference."
            )
    return sentences


def _finite(values: Float[ndarray, " n"] | None) -> Float[ndarray, " m"]:
    return np.zeros(0) if values is None else values[np.isfinite(values)]


def _range(values: Float[ndarray, " n"] | None) -> tuple[float, float] | None:
    finite = _finite(values)
    return (float(finite.min()), float(finite.max())) if len(finite) else None


def _peak(columns: Sequence[Float[ndarray, " n"] | None], scale: float = 1.0) -> float | None:
    """Greatest length of the vectors of these components, times `scale`."""
    size = np.zeros(0)
    for column in columns:
        if column is None:
            return None
        size = np.hypot(size, column, out=size) if len(size) else np.abs(column)
    finite = _finite(size)
    return float(scale * finite.max()) if len(finite) else None


def _rms_um(values: Float[ndarray, " n"] | None) -> float | None:
    finite = _finite(values)
    return float(1e3 * np.linalg.norm(finite) / np.sqrt(len(finite))) if len(finite) else None


def draw_trace(made: Trace, path: Path) -> None:
    """Draws a simulated layer: path coloured by error, error over time by source, spectrum.

    Args:
        made: with x_ref, y_ref, error_x, error_y; sources are drawn where it has them.
        path: .png, .svg or .pdf.
    Raises:
        InputError: the ending is none of these, or the folder is not there.
    """
    with plotting.style():
        figure, axes = plotting.tall_figure(path, (7.0, 8.5), (2.2, 1.0, 1.0))
        fields = made.fields
        size_um = 1e3 * np.hypot(fields["error_x"], fields["error_y"])
        dots = axes[0].scatter(fields["x_ref"], fields["y_ref"], c=size_um, s=4, cmap="viridis")
        axes[0].set(xlabel="x / mm", ylabel="y / mm", aspect="equal", title=made.name)
        figure.colorbar(dots, ax=axes[0], label="size of the error / µm")
        _draw_sources(axes[1], made)
        rate_hz = made.sample_rate_hz
        for name, colour in zip(("error_x", "error_y"), plotting.PALETTE, strict=False):
            frequency_hz, amplitude_um = plotting.amplitude_spectrum(1e3 * fields[name], rate_hz)
            axes[2].semilogy(frequency_hz, amplitude_um, color=colour, label=name[-1])
        axes[2].set(xlabel="frequency / Hz", ylabel="amplitude / µm", xlim=(0, rate_hz / 2))
        axes[2].yaxis.set_major_formatter("{x:g}")
        plotting.legend_above(axes[2], 2)
        plotting.save(figure, path, dpi=plotting.SCREEN_DPI)


def _draw_sources(axis: Any, made: Trace) -> None:
    """RMS over a sliding fifth of a second, total and per source, in a logarithmic scale."""
    time = made.fields["time"]
    window = max(round(made.sample_rate_hz / 5), 1)
    pairs = [("total", "error"), *((s, s) for s in SOURCES if f"{s}_x" in made.fields)]
    for (label, prefix), colour in zip(pairs, ("#000000", *plotting.PALETTE), strict=False):
        power = made.fields[f"{prefix}_x"] ** 2 + made.fields[f"{prefix}_y"] ** 2
        mean = np.convolve(power, np.full(window, 1 / window), mode="same")
        axis.semilogy(
            time,
            1e3 * np.sqrt(np.maximum(mean, 1e-12)),
            color=colour,
            lw=0.9,
            label=label.replace("_", " "),
        )
    axis.set(xlabel="time / s", ylabel="RMS over 0.2 s / µm", xlim=(time[0], time[-1]))
    axis.set_ylim(bottom=3e-3)
    axis.yaxis.set_major_formatter("{x:g}")
    plotting.legend_above(axis, len(pairs))
