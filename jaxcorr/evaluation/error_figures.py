"""Figures of the size of errors: distributions, correlation, each axis, training curves.

Each function draws aligned tracks (`tracks.align`) one column wide and returns a `Drawing`, or None
where the tracks lack what it shows. Colours mean the same in every figure: black the true
error, vermilion the prediction, purple what is left over.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import metrics, plotting
from jaxcorr.evaluation import wording
from jaxcorr.evaluation.tracks import Track, short_name
from jaxcorr.plotting import PALETTE
from jaxcorr.training import history

TRUE, PREDICTED, RESIDUAL = "#000000", PALETTE[1], PALETTE[3]
AXES = (PALETTE[0], PALETTE[2], PALETTE[4], PALETTE[5])
STRETCH_S = 2.0  # of per_axis_error


class Drawing(NamedTuple):
    """A figure, and what it shows in words.

    Attributes:
        name: of its files.
        title: short.
        caption: what is seen, with the figures that matter.
        alt: for those who cannot see it.
        figure: matplotlib's.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Any


def error_distribution(tracks: Sequence[Track]) -> Drawing:
    """Histogram of the residuals of each axis; share of samples beyond each residual."""
    figure, axes = plotting.new_figure(2, 1, 3.8)
    residual, true = residual_um(tracks), true_um(tracks)
    reach = max(float(np.percentile(np.abs(residual), 99.5)), 1e-3)
    edges = np.linspace(-reach, reach, 61)
    for i, (name, colour) in enumerate(zip(tracks[0].axes, axis_colours(tracks), strict=True)):
        # By counts, not density: two axes share the scale, and a constant one stays finite.
        share = np.histogram(residual[:, i], edges)[0] / len(residual)
        axes[0].stairs(100 * share, edges, color=colour, label=name)
    axes[0].set(xlabel="predicted - true error / µm", ylabel="samples / %", xlim=(-reach, reach))
    plotting.legend_above(axes[0], 4)
    for values, label, colour in (
        (true, "true error", TRUE),
        (residual, "left after prediction", RESIDUAL),
    ):
        size = np.sort(np.abs(values).ravel())
        beyond = 100 * (1 - np.arange(len(size)) / len(size))
        axes[1].loglog(np.maximum(size, 1e-3), beyond, color=colour, label=label, rasterized=True)
    # Left of where nearly all samples lie beyond, there is nothing to see.
    start = max(float(np.percentile(np.abs(residual), 2)), 1e-3)
    axes[1].set(xlabel="absolute value / µm", ylabel="samples beyond / %", ylim=(1e-2, 150))
    axes[1].set_xlim(left=start)
    axes[1].yaxis.set_major_formatter("{x:g}")
    axes[1].xaxis.set_major_formatter("{x:g}")
    plotting.legend_above(axes[1], 2)
    sizes_um = np.percentile(np.abs(residual), metrics.PERCENTILES)
    parts = ", ".join(
        f"{p}% within {plotting.um(value)}"
        for p, value in zip(metrics.PERCENTILES, sizes_um, strict=True)
    )
    return Drawing(
        "error_distribution",
        "How large the residuals are",
        f"Above: residuals of each axis, the middle 99.5%. Below: the share of samples whose "
        f"value lies beyond the one on the horizontal axis, before and after prediction. {parts}.",
        "Histogram of residuals per axis, and the share of samples beyond each absolute residual.",
        figure,
    )


def error_correlation(tracks: Sequence[Track]) -> Drawing:
    """Predicted against true error, a panel an axis, as density of samples."""
    names = tracks[0].axes
    figure, axes = plotting.new_figure(1, len(names), 2.1, squeeze=False, sharey=True)
    true, predicted = true_um(tracks), 1e3 * join(tracks, "predicted_mm")
    low, high = _limits(true, predicted)
    words = []
    for i, (name, axis) in enumerate(zip(names, axes[0], strict=True)):
        accuracy = metrics.measure(true[:, i], predicted[:, i])
        axis.hexbin(
            true[:, i],
            predicted[:, i],
            gridsize=45,
            extent=(low, high, low, high),
            bins="log",
            mincnt=1,
            cmap="viridis",
            linewidths=0.1,
            rasterized=True,
        )
        axis.plot((low, high), (low, high), color="#000000", lw=0.6, ls="--")
        axis.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel=f"true {name} / µm")
        axis.locator_params(nbins=5)
        r2, correlation = wording.ratio(accuracy.r2), wording.ratio(accuracy.correlation)
        axis.set_title(f"{name}: R² {r2}", loc="left")
        words.append(f"{name}: correlation {correlation}, R² {r2}")
    axes[0, 0].set_ylabel("predicted / µm")
    return Drawing(
        "error_correlation",
        "Predicted against true error",
        f"Each cell is coloured by the logarithm of its number of samples, dark for few; on the "
        f"dashed line the prediction is exact. {'; '.join(words)}.",
        "Density of predicted against true error, per axis, around the line of equality.",
        figure,
    )


def per_axis_error(tracks: Sequence[Track]) -> Drawing:
    """MAE, RMSE and 95th percentile of each axis, and a typical stretch of each over time."""
    names = tracks[0].axes
    heights = (1.0, *(1.1 for _ in names))
    figure, axes = plotting.new_figure(len(heights), 1, 1.3 * len(heights), height_ratios=heights)
    _draw_bars(axes[0], tracks)
    track, rows = typical_stretch(tracks, STRETCH_S)
    for i, (name, axis) in enumerate(zip(names, axes[1:], strict=True)):
        for values, label, form in (
            (track.true_mm, "true", {"color": TRUE, "lw": 1.6}),
            (track.predicted_mm, "predicted", {"color": PREDICTED, "lw": 0.9}),
            (track.residual_mm, "residual", {"color": RESIDUAL, "lw": 0.9}),
        ):
            axis.plot(track.time_s[rows], 1e3 * values[rows, i], label=label, **form)
        axis.set(ylabel=f"error {name} / µm")
        if i < len(names) - 1:
            axis.sharex(axes[-1])
            axis.tick_params(labelbottom=False)
    axes[-1].set(xlabel="time / s")
    plotting.legend_above(axes[1], 3)
    return Drawing(
        "per_axis_error",
        "Each axis",
        f"Above: size of the residuals of each axis. Below: {duration(track, rows)} s of "
        f"{short(track)}, the stretch whose residual is nearest to the RMSE over all samples, so a "
        "typical one.",
        "Bars of MAE, RMSE and 95th percentile per axis; below, true and predicted error in time.",
        figure,
    )


def _draw_bars(axis: Any, tracks: Sequence[Track]) -> None:
    names, size = tracks[0].axes, np.abs(residual_um(tracks))
    groups = (
        ("MAE", size.mean(axis=0)),
        ("RMSE", np.sqrt((size**2).mean(axis=0))),
        ("95th percentile", np.percentile(size, 95, axis=0)),
    )
    width = 0.8 / len(names)
    for i, (name, colour) in enumerate(zip(names, axis_colours(tracks), strict=True)):
        at = np.arange(len(groups)) + (i - (len(names) - 1) / 2) * width
        bars = axis.bar(at, [values[i] for _, values in groups], width, color=colour, label=name)
        axis.bar_label(
            bars, fmt=lambda um: f"{um:,.0f}" if um >= 100 else f"{um:#.3g}", fontsize=7, padding=1
        )
    axis.set_xticks(range(len(groups)), [label for label, _ in groups])
    axis.set(ylabel="residual / µm")
    axis.margins(y=0.2)
    plotting.legend_above(axis, 4)


def training_curves(rows: Sequence[Mapping[str, Any]]) -> Drawing | None:
    """Loss, MAE and learning rate over the epochs."""
    if not rows:
        return None
    known = [row for row in rows if row.get("val_mae_mm") is not None]
    best = min(known, key=lambda row: row["val_mae_mm"], default=None)
    words = (
        f" Best validation MAE {plotting.um(1e3 * best['val_mae_mm'])} after epoch {best['epoch']}."
        if best
        else " There was no validation."
    )
    return Drawing(
        "training_curves",
        "How it was trained",
        f"Loss, MAE on training and validation traces and learning rate over {len(rows)} epochs; "
        f"circles mark the best.{words}",
        "Training loss, training and validation MAE, and learning rate against the epoch.",
        history.curves(rows),
    )


def typical_stretch(tracks: Sequence[Track], seconds: float) -> tuple[Track, slice]:
    """The stretch whose residual RMS is nearest to that of all samples."""
    overall = float(np.mean(join(tracks, "residual_mm") ** 2))
    best, stretch = np.inf, (tracks[0], slice(0, len(tracks[0].time_s)))
    for track in tracks:
        width = min(max(round(seconds * track.rate_hz), 2), len(track.time_s))
        total = np.cumsum(np.mean(track.residual_mm**2, axis=1))
        power = (total[width - 1 :] - np.r_[0.0, total[:-width]]) / width
        off = np.abs(power - overall)
        if off.min(initial=np.inf) < best:
            best, begin = off.min(), int(off.argmin())
            stretch = (track, slice(begin, begin + width))
    return stretch


def join(tracks: Sequence[Track], attribute: str) -> Float[ndarray, "n k"]:
    """One of the tracks' arrays, end to end."""
    return np.concatenate([getattr(track, attribute) for track in tracks])


def true_um(tracks: Sequence[Track]) -> Float[ndarray, "n k"]:
    return 1e3 * join(tracks, "true_mm")


def residual_um(tracks: Sequence[Track]) -> Float[ndarray, "n k"]:
    return 1e3 * join(tracks, "residual_mm")


def axis_colours(tracks: Sequence[Track]) -> list[str]:
    """A colour for each axis."""
    return [AXES[i % len(AXES)] for i in range(len(tracks[0].targets))]


def short(track: Track) -> str:
    """The trace's name as a caption gives it."""
    return short_name(track.part, track.name)


def duration(track: Track, rows: slice) -> str:
    return f"{(rows.stop - rows.start) / track.rate_hz:.3g}"


def _limits(*values: Float[ndarray, "n k"]) -> tuple[float, float]:
    """One range for all of these, never empty."""
    low, high = min(v.min() for v in values), max(v.max() for v in values)
    margin = 0.03 * (high - low) or 1.0
    return float(low - margin), float(high + margin)
