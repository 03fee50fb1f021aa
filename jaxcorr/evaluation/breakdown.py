"""Where predictions are good: metrics by trace, kind of line, speed and way from corners.

It sorts rows into bands and measures each; it knows no model, and prints nothing.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from jaxcorr import metrics
from jaxcorr.data.strata import Labels
from jaxcorr.data.windows import Samples
from jaxcorr.printer.gcode import FEATURES
from jaxcorr.spec import Data, axis_of, own_velocities

SPEED_EDGES_MM_S = (1.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 150.0, 200.0)
CORNER_EDGES_MM = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
CORNER_DEGREES = 20.0  # between samples up to two apart
REST_MM_S = 0.5  # slower counts as a stop

Values = Float[ndarray, "rows _"]
Rows = Bool[ndarray, " rows"]


def per_trace(samples: Samples, predicted: Values, counts: Rows) -> list[dict[str, Any]]:
    """Metrics of each trace that has a row that counts: name, part, num_samples, mae_mm, ..."""
    found = []
    for i, rows in enumerate(_each(samples)):
        chosen = np.zeros_like(counts)
        chosen[rows] = counts[rows]
        if chosen.any():
            entry = _entry(samples, predicted, chosen)
            found.append({"name": samples.names[i], "part": samples.parts[i], **entry})
    return found


def measure(
    samples: Samples, predicted: Values, counts: Rows, data: Data, labels: Labels | None
) -> dict[str, list[dict[str, Any]]]:
    """Metrics of bands of samples; a list per kind of band, left out where nothing is known.

    Kinds: `feature_type`, `speed`, `corner_distance`, `acceleration`, `feedrate`, all of the
    instant that a prediction is for.
    """
    found = {}
    if labels is not None:
        codes = labels.feature.astype(int)
        if (codes >= 0).any():
            kinds = [name.replace("_", " ") for name in FEATURES]
            found["feature_type"] = _bands(samples, predicted, counts, codes, kinds)
    if (speed := speeds(samples, data)) is not None:
        edges = [0.0, *SPEED_EDGES_MM_S]
        bands = np.digitize(speed, SPEED_EDGES_MM_S)
        found["speed"] = _bands(samples, predicted, counts, bands, _spell(edges, "mm/s"))
    if (way := corner_distances(samples, data)) is not None:
        edges = [0.0, *CORNER_EDGES_MM]
        bands = np.digitize(way, CORNER_EDGES_MM)
        found["corner_distance"] = _bands(samples, predicted, counts, bands, _spell(edges, "mm"))
    for kind, values, unit in _sweeps(labels):
        points, of_trace = np.unique(values, return_inverse=True)
        if len(points) > 1 and np.isfinite(values).all():
            bands = np.repeat(of_trace, samples.num_rows)
            names = [f"{point:g} {unit}" for point in points]
            found[kind] = _bands(samples, predicted, counts, bands, names)
    return found


def speeds(samples: Samples, data: Data) -> Float[ndarray, " rows"] | None:
    """Speed (mm/s) at each row's target; None where the features hold no velocities."""
    velocity = _velocity(samples, data)
    if velocity is None:
        return None
    return np.linalg.norm(velocity, axis=1)[target_rows(samples, data.horizon)]


def corner_distances(samples: Samples, data: Data) -> Float[ndarray, " rows"] | None:
    """Way (mm) since the last corner or stop at each row's target; None without velocities."""
    velocity = _velocity(samples, data)
    if velocity is None:
        return None
    way = np.zeros(len(velocity))
    for rows in _each(samples):
        way[rows] = way_from_corner(velocity[rows], data.sample_rate_hz)
    return way[target_rows(samples, data.horizon)]


def way_from_corner(velocity_mm_s: Float[ndarray, "n 2"], rate_hz: float) -> Float[ndarray, " n"]:
    """Way (mm) along one path since its last corner or stop; its first sample counts as one.

    A corner is where the direction differs by more than 20 degrees from that of one of the two
    samples before.
    """
    speed = np.linalg.norm(velocity_mm_s, axis=1)
    is_corner = speed < REST_MM_S
    is_corner[:1] = True
    for lag in (1, 2):
        now, before = velocity_mm_s[lag:], velocity_mm_s[:-lag]
        aligned = np.sum(now * before, axis=1)
        size = speed[lag:] * speed[:-lag]
        is_corner[lag:] |= aligned < np.cos(np.radians(CORNER_DEGREES)) * size
    way = np.cumsum(speed) / rate_hz
    last = np.maximum.accumulate(np.where(is_corner, np.arange(len(way)), 0))
    return way - way[last]


def target_rows(samples: Samples, horizon: int) -> ndarray:
    """The row (rows,) at each row's target: `horizon` on, or the nearest of the same trace."""
    found = np.arange(len(samples.features))
    for rows in _each(samples):
        found[rows] = np.clip(found[rows] + horizon, rows.start, max(rows.stop - 1, rows.start))
    return found


def _bands(
    samples: Samples, predicted: Values, counts: Rows, band: ndarray, names: Sequence[str]
) -> list[dict[str, Any]]:
    """An entry for each band that a row which counts lies in, in the order of the names."""
    found = []
    for code, name in enumerate(names):
        rows = counts & (band == code)
        if rows.any():
            found.append({"label": name, **_entry(samples, predicted, rows)})
    return found


def _entry(samples: Samples, predicted: Values, rows: Rows) -> dict[str, Any]:
    true = np.asarray(samples.targets[rows], np.float64)
    found = metrics.measure(true, np.asarray(predicted[rows], np.float64))
    return {
        "num_samples": int(rows.sum()),
        "mae_mm": found.mae_mm,
        "rmse_mm": found.rmse_mm,
        "r2": found.r2,
        "true_rms_mm": float(np.sqrt(np.mean(true**2))),
    }


def _spell(edges: Sequence[float], unit: str) -> list[str]:
    closed = [f"{low:g} to {high:g} {unit}" for low, high in itertools.pairwise(edges)]
    return [*closed, f"over {edges[-1]:g} {unit}"]


def _sweeps(labels: Labels | None) -> list[tuple[str, ndarray, str]]:
    if labels is None:
        return []
    return [
        ("acceleration", labels.accel_mm_s2, "mm/s2"),
        ("feedrate", labels.velocity_mm_s, "mm/s"),
    ]


def _velocity(samples: Samples, data: Data) -> Values | None:
    columns = own_velocities(data)
    return None if columns is None else np.asarray(samples.features[:, columns], np.float64)


def _each(samples: Samples) -> Iterator[slice]:
    for first, rows in zip(samples.first_row, samples.num_rows, strict=True):
        yield slice(int(first), int(first + rows))


# Where a fitted offset has three quarters of its size; the simulators' friction does the same.
FRICTION_MM_S = 2.0
FROM_TRACES = "friction as the traces have it"
FITTED = "direction-dependent offset, fitted to the test traces"


def measure_dynamic(
    samples: Samples,
    predicted: Values,
    counts: Bool[ndarray, " rows"],
    data: Data,
    labels: Labels | None,
) -> dict[str, Any] | None:
    """R2 and RMS (mm) of the error without friction's offset, over both axes and for each.

    Returns:
        r2, rms_mm (of that part of the error), rmse_mm (of the residual), share_of_variance (of the
        whole error), one entry per axis, and `offset`: where the offset comes from. None where it
        is in no trace and cannot be fitted for want of velocities.
    """
    found = offset_of(samples, counts, data, labels)
    if found is None:
        return None
    offset, source = found
    true = np.asarray(samples.targets[counts], np.float64)
    dynamic = true - offset[counts]
    answer = dynamic + np.asarray(predicted[counts], np.float64) - true
    whole = np.sum((true - true.mean(axis=0)) ** 2)
    part = np.sum((dynamic - dynamic.mean(axis=0)) ** 2)
    axes = {
        axis_of(name): _measure(dynamic[:, i : i + 1], answer[:, i : i + 1])
        for i, name in enumerate(data.targets)
    }
    return {
        "offset": source,
        **_measure(dynamic, answer),
        "share_of_variance": float(part / whole) if whole else None,
        **axes,
    }


def offset_of(
    samples: Samples, counts: Bool[ndarray, " rows"], data: Data, labels: Labels | None
) -> tuple[Values, str] | None:
    """Friction's part (mm) of each row's error, and where it comes from."""
    if labels is not None and np.isfinite(labels.friction_mm[counts]).all():
        return np.asarray(labels.friction_mm, np.float64), FROM_TRACES
    own = own_velocities(data)
    if own is None:
        return None
    offset = np.zeros(samples.targets.shape)
    for i, column in enumerate(own):
        speed = np.asarray(samples.features[:, column], np.float64)
        sign = np.tanh(speed[target_rows(samples, data.horizon)] / FRICTION_MM_S)
        x = np.column_stack([sign, np.ones_like(sign)])
        y = np.asarray(samples.targets[counts, i], np.float64)
        gain = np.linalg.lstsq(x[counts], y, rcond=None)[0][0]
        offset[:, i] = gain * sign
    return offset, FITTED


def _measure(dynamic: Values, answer: Values) -> dict[str, float | None]:
    found = metrics.measure(dynamic, answer)
    rms = np.sqrt(np.mean((dynamic - dynamic.mean(axis=0)) ** 2))
    return {"r2": found.r2, "rms_mm": float(rms), "rmse_mm": found.rmse_mm}
