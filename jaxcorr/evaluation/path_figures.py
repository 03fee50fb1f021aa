"""Figures of errors along the path, over the part, and at the worst moments.

Each function draws aligned tracks as those of `error_figures`, or returns None where they lack what
a figure shows.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import plotting
from jaxcorr.data import windows
from jaxcorr.evaluation.error_figures import PREDICTED, RESIDUAL, TRUE, Drawing, short
from jaxcorr.evaluation.tracks import Track

REFERENCE = "#999999"
STRETCH_S = 0.3  # drawn on the path, before and after the largest error
ON_PATH = 0.2  # of the drawn width that the largest error takes up once magnified
NUM_CELLS = 40  # of the heat map, along the longer side
MOST_PARTS = 4  # of the heat map
NUM_MOMENTS = 10
MOMENT_S = 0.25  # shown before and after each of the worst moments
COLUMNS = 2  # of small panels
MOST_LETTERS = 10  # of a part's name beside a small panel


class OnPath(NamedTuple):
    """A track's rows whose reference (or command) is known, in the plane; mm."""

    track: Track
    reference: Float[ndarray, "n 2"]
    true: Float[ndarray, "n 2"]
    predicted: Float[ndarray, "n 2"]


def trajectory_comparison(tracks: Sequence[Track]) -> Drawing | None:
    """A whole layer, and the surroundings of its largest error with the error magnified."""
    placed = on_path(tracks)
    if not placed:
        return None
    # What a printer is told in earnest, without the random change of a probe.
    plain = [one for one in placed if "_p" not in windows.point_of(one.track.name)]
    layer = max(plain or placed, key=lambda one: float(np.hypot(*one.true.T).max()))
    worst = int(np.hypot(*layer.true.T).argmax())
    reach = max(round(STRETCH_S * layer.track.rate_hz), 2)
    rows = slice(max(worst - reach, 0), worst + reach + 1)
    factor, low, high = _magnify(layer, rows)
    figure, axes = plotting.new_figure(2, 1, 5.0, height_ratios=(1.0, 1.15))
    _draw_layer(axes[0], layer, low, high)
    lines = (
        (layer.track.path, layer.reference, {"color": REFERENCE, "lw": 2.5}),
        ("actual", layer.reference + factor * layer.true, {"color": TRUE, "lw": 1.6}),
        ("predicted", layer.reference + factor * layer.predicted, {"color": PREDICTED, "lw": 0.9}),
    )
    for label, points, form in lines:
        axes[1].plot(*points[rows].T, label=label, **form)
    axes[1].plot(*layer.reference[rows][0], "o", color=REFERENCE, ms=5)
    axes[1].set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes[1].set(xlabel="x / mm", ylabel="y / mm")
    plotting.legend_above(axes[1], 3)
    peak_um = 1e3 * np.hypot(*layer.true[worst])
    left_um = 1e3 * np.hypot(*(layer.predicted - layer.true)[worst])
    drawn = "drawn to scale" if factor == 1 else f"errors magnified {factor:g} times"
    return Drawing(
        "trajectory_comparison",
        "On the path",
        f"Above: {short(layer.track)}, all of it. Below: the framed stretch around its largest "
        f"error ({plotting.um(peak_um)} at {layer.track.time_s[worst]:.2f} s, where the "
        f"prediction is {plotting.um(left_um)} off), {drawn}; the dot is where it begins.",
        f"{layer.track.path.capitalize()}, actual and predicted path around a layer's largest "
        "error, error magnified.",
        figure,
    )


def on_path(tracks: Sequence[Track]) -> list[OnPath]:
    """The tracks that have x and y of both reference and error, and a row that knows them all."""
    placed = []
    for track in tracks:
        position = track.position_mm
        if position is None or not {"x", "y"} <= set(track.axes):
            continue
        is_known = np.isfinite(position).all(axis=1)
        columns = [track.axes.index(axis) for axis in "xy"]
        if is_known.any():
            both = (values[is_known][:, columns] for values in (track.true_mm, track.predicted_mm))
            known = track._replace(time_s=track.time_s[is_known])
            placed.append(OnPath(known, position[is_known], *both))
    return placed


def _magnify(
    layer: OnPath, rows: slice
) -> tuple[float, Float[ndarray, " 2"], Float[ndarray, " 2"]]:
    """A round factor that makes the error visible, and corners of a square that holds it all."""
    points = layer.reference[rows]
    side = max(float(np.ptp(points, axis=0).max()), 1.0)
    largest = float(np.hypot(*layer.true[rows].T).max())
    factor = round_down(ON_PATH * side / largest) if largest else 1.0
    ends = [points + factor * error[rows] for error in (layer.true, layer.predicted)]
    ends = np.concatenate([points, *ends])
    middle = (ends.min(axis=0) + ends.max(axis=0)) / 2
    half = 0.53 * max(float(np.ptp(ends, axis=0).max()), 1.0)
    return factor, middle - half, middle + half


def round_down(value: float) -> float:
    """The largest 1, 2, 3 or 5 times a power of ten that is not above a positive value."""
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1.0, 2.0, 3.0, 5.0)
    return max(step * power for step in steps if step * power <= value * (1 + 1e-9))


def _draw_layer(
    axis: Any, layer: OnPath, low: Float[ndarray, " 2"], high: Float[ndarray, " 2"]
) -> None:
    from matplotlib.patches import Rectangle

    axis.plot(*layer.reference.T, color=REFERENCE, lw=0.4, rasterized=True)
    axis.add_patch(Rectangle(tuple(low), *(high - low), fill=False, color=TRUE, lw=1.0))
    axis.set(aspect="equal", xlabel="x / mm", ylabel="y / mm")
    axis.margins(0.05)


def error_heatmap(tracks: Sequence[Track]) -> Drawing | None:
    """Mean size of true error and residual in the cells of a grid over each part."""
    parts: dict[str, list[OnPath]] = {}
    for one in on_path(tracks):
        parts.setdefault(one.track.part, []).append(one)
    if not parts:
        return None
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    shown = sorted(parts, key=lambda p: -sum(len(o.true) for o in parts[p]))[:MOST_PARTS]
    grids = [_grid(parts[part]) for part in shown]
    shapes = [maps[0].shape for _, maps in grids]
    heights = [min(num_y / num_x, 1.2) for num_x, num_y in shapes]
    figure, axes = plotting.new_figure(
        len(shown),
        2,
        1.4 * sum(heights) + 0.3 * len(shown) + 0.8,
        height_ratios=heights,
        squeeze=False,
    )
    for column, title in enumerate(("true error", "residual")):
        top = _top([maps[column] for _, maps in grids])
        norm = Normalize(0, top)
        for axis, (extent, maps) in zip(axes[:, column], grids, strict=True):
            axis.imshow(maps[column].T, origin="lower", extent=extent, norm=norm, cmap="viridis")
            axis.locator_params(nbins=4)
        axes[0, column].set_title(title)
        axes[-1, column].set_xlabel("x / mm")
        colours = ScalarMappable(norm, "viridis")
        bar = {"location": "bottom", "aspect": 15, "extend": "max", "label": "mean / µm"}
        figure.colorbar(colours, ax=axes[:, column], **bar)
    for axis, part in zip(axes[:, 0], shown, strict=True):
        axis.set_ylabel(f"{_brief(part)}\ny / mm")
    left = len(parts) - len(shown)
    more = f" The {left} parts with fewer samples are left out." if left else ""
    return Drawing(
        "error_heatmap",
        "Where on the part",
        f"Mean length of true error and residual in square cells over {', '.join(shown)}, all test "
        f"layers of a part laid over one another. The two columns have scales of their own.{more}",
        "Maps of mean true error and mean residual over each part.",
        figure,
    )


def _top(maps: Sequence[Float[ndarray, "x y"]]) -> float:
    """Where the colours end: one cell in a hundred may lie above, or it would decide for all."""
    return float(np.nanpercentile(np.concatenate([cells.ravel() for cells in maps]), 99)) or 1.0


def _grid(placed: Sequence[OnPath]) -> tuple[tuple[float, ...], list[Float[ndarray, "x y"]]]:
    """Extent (mm), and mean true error and mean residual (um) in cells; NaN where none was."""
    points = np.concatenate([one.reference for one in placed])
    low, high = points.min(axis=0), points.max(axis=0)
    cell = max(float((high - low).max()), 1.0) / NUM_CELLS
    bins = [max(math.ceil(span / cell), 1) for span in high - low]
    extent = [(a, a + n * cell) for a, n in zip(low, bins, strict=True)]
    count = np.histogram2d(*points.T, bins=bins, range=extent)[0]
    maps = []
    for errors in ([o.true for o in placed], [o.predicted - o.true for o in placed]):
        size_um = 1e3 * np.linalg.norm(np.concatenate(errors), axis=1)
        total = np.histogram2d(*points.T, bins=bins, range=extent, weights=size_um)[0]
        maps.append(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))
    return (*extent[0], *extent[1]), maps


def worst_moments(tracks: Sequence[Track]) -> Drawing:
    """True and predicted error around the largest residuals, worst first."""
    moments = find_worst(tracks, NUM_MOMENTS)
    num_rows = math.ceil(len(moments) / COLUMNS)
    figure, axes = plotting.new_figure(num_rows, COLUMNS, 1.05 * num_rows + 0.6, squeeze=False)
    for number, (axis, (track, row, column)) in enumerate(
        zip(axes.flat, moments, strict=False), start=1
    ):
        reach = max(round(MOMENT_S * track.rate_hz), 1)
        rows = slice(max(row - reach, 0), row + reach + 1)
        time_ms = 1e3 * (track.time_s[rows] - track.time_s[row])
        true, predicted = track.true_mm[rows, column], track.predicted_mm[rows, column]
        axis.plot(time_ms, 1e3 * true, color=TRUE, lw=1.4, label="true")
        axis.plot(time_ms, 1e3 * predicted, color=PREDICTED, lw=0.9, label="predicted")
        axis.axvline(0, color=RESIDUAL, lw=0.6, ls=":")
        name = f"{number}: {_brief(track.part)}, {track.time_s[row]:.2f} s, {track.axes[column]}"
        axis.set_title(name, fontsize=7, loc="left", pad=2)
        axis.locator_params(nbins=4)
    for axis in axes.flat[len(moments) :]:
        axis.set_axis_off()
    figure.supylabel("error / µm", fontsize=8)
    figure.supxlabel("time from the worst sample / ms", fontsize=8)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    first, row, column = moments[0]
    largest_um = 1e3 * abs(first.residual_mm[row, column])
    return Drawing(
        "worst_moments",
        f"The {len(moments)} worst moments" if len(moments) > 1 else "The worst moment",
        f"The largest residuals, worst first, at least {2 * MOMENT_S:g} s apart, on the axis where "
        f"each is largest. The first is {plotting.um(largest_um)} in {short(first)} at "
        f"{first.time_s[row]:.2f} s.",
        "Small panels of true and predicted error around the largest residuals.",
        figure,
    )


def _brief(part: str) -> str:
    return part if len(part) <= MOST_LETTERS else f"{part[: MOST_LETTERS - 1]}…"


def find_worst(tracks: Sequence[Track], number: int) -> list[tuple[Track, int, int]]:
    """Track, row and column of the largest residuals, no two of a track within a stretch."""
    moments = []
    for track in tracks:
        size = np.abs(track.residual_mm)
        peak = size.max(axis=1)
        apart = max(round(2 * MOMENT_S * track.rate_hz), 1)
        for _ in range(min(number, len(peak))):
            row = int(peak.argmax())
            if peak[row] < 0:
                break
            moments.append((float(peak[row]), track, row, int(size[row].argmax())))
            peak[max(row - apart + 1, 0) : row + apart] = -1.0
    moments.sort(key=lambda one: -one[0])
    return [(track, row, column) for _, track, row, column in moments[:number]]
