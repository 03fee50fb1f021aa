"""Accuracy broken down: by trace, kind of line, speed, distance from corners, and without friction.

Rows are sorted into bands by the instant that a prediction is for, and each band is measured.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from jaxcorr import metrics
from jaxcorr.data.strata import Labels
from jaxcorr.data.windows import Samples
from jaxcorr.metrics import Band, DynamicAccuracy, Dynamics, Group, TraceAccuracy
from jaxcorr.printer.gcode import FEATURES
from jaxcorr.spec import Data, axis_of, own_velocities

SPEED_EDGES_MM_S = (1.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 150.0, 200.0)
CORNER_EDGES_MM = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
CORNER_DEGREES = 20.0  # between samples up to two apart
REST_MM_S = 0.5  # slower counts as a stop
# Where a fitted offset has three quarters of its size; the simulators' friction does the same.
FRICTION_MM_S = 2.0
FROM_TRACES = "friction as the traces have it"
FITTED = "direction-dependent offset, fitted to the test traces"

Values = Float[ndarray, "rows _"]
Rows = Bool[ndarray, " rows"]


def per_trace(samples: Samples, predicted: Values, counts: Rows) -> tuple[TraceAccuracy, ...]:
    """Accuracy on each trace that has a row that counts."""
    traces = []
    for i, rows in enumerate(samples.spans()):
        chosen = np.zeros_like(counts)
        chosen[rows] = counts[rows]
        if chosen.any():
            group = _measure(samples, predicted, chosen).model_dump()
            traces.append(TraceAccuracy(name=samples.names[i], part=samples.parts[i], **group))
    return tuple(traces)


def by_kind(
    samples: Samples, predicted: Values, counts: Rows, data: Data, labels: Labels
) -> dict[str, tuple[Band, ...]]:
    """Accuracy on bands of samples, by kind of band; a kind of which nothing is known is left out.

    Kinds: `feature_type`, `speed`, `corner_distance`, `acceleration`, `feedrate`, all of the
    instant that a prediction is for.
    """
    kinds: dict[str, tuple[ndarray, list[str]]] = {}
    codes = labels.feature.astype(int)
    if (codes >= 0).any():
        kinds["feature_type"] = codes, [name.replace("_", " ") for name in FEATURES]
    if (speed := speeds(samples, data)) is not None:
        names = _name_bands(SPEED_EDGES_MM_S, "mm/s")
        kinds["speed"] = np.digitize(speed, SPEED_EDGES_MM_S), names
    if (distance := corner_distances(samples, data)) is not None:
        names = _name_bands(CORNER_EDGES_MM, "mm")
        kinds["corner_distance"] = np.digitize(distance, CORNER_EDGES_MM), names
    for kind, values, unit in (
        ("acceleration", labels.accel_mm_s2, "mm/s2"),
        ("feedrate", labels.velocity_mm_s, "mm/s"),
    ):
        points, of_trace = np.unique(values, return_inverse=True)
        if len(points) > 1 and np.isfinite(values).all():
            names = [f"{point:g} {unit}" for point in points]
            kinds[kind] = np.repeat(of_trace, samples.num_rows), names
    return {
        kind: _bands(samples, predicted, counts, band, names)
        for kind, (band, names) in kinds.items()
    }


def dynamics(
    samples: Samples, predicted: Values, counts: Rows, data: Data, labels: Labels
) -> Dynamics | None:
    """Accuracy on the error without friction's offset, over all axes and for each.

    None where the offset is in no trace and cannot be fitted for want of velocities.
    """
    known = offset_of(samples, counts, data, labels)
    if known is None:
        return None
    offset, source = known
    true = np.asarray(samples.targets[counts], np.float64)
    dynamic = true - offset[counts]
    answer = dynamic + np.asarray(predicted[counts], np.float64) - true
    whole = np.sum((true - true.mean(axis=0)) ** 2)
    part = np.sum((dynamic - dynamic.mean(axis=0)) ** 2)
    axes = {
        axis_of(name): _measure_dynamic(dynamic[:, i : i + 1], answer[:, i : i + 1])
        for i, name in enumerate(data.targets)
    }
    return Dynamics(
        offset=source,
        **_measure_dynamic(dynamic, answer).model_dump(),
        share_of_variance=float(part / whole) if whole else None,
        axes=axes,
    )


def offset_of(
    samples: Samples, counts: Rows, data: Data, labels: Labels
) -> tuple[Values, str] | None:
    """Friction's part (mm) of each row's error, and where it comes from."""
    if np.isfinite(labels.friction_mm[counts]).all():
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
    distance = np.zeros(len(velocity))
    for rows in samples.spans():
        distance[rows] = way_from_corner(velocity[rows], data.sample_rate_hz)
    return distance[target_rows(samples, data.horizon)]


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


def target_rows(samples: Samples, horizon: int) -> Int[ndarray, " rows"]:
    """The row at each row's target: `horizon` on, or the nearest of the same trace."""
    targets = np.arange(len(samples.features))
    for rows in samples.spans():
        targets[rows] = np.clip(targets[rows] + horizon, rows.start, max(rows.stop - 1, rows.start))
    return targets


def _bands(
    samples: Samples, predicted: Values, counts: Rows, band: ndarray, names: Sequence[str]
) -> tuple[Band, ...]:
    """Accuracy on each band that a row which counts lies in, in the order of the names."""
    chosen = ((name, counts & (band == code)) for code, name in enumerate(names))
    return tuple(
        Band(label=name, **_measure(samples, predicted, rows).model_dump())
        for name, rows in chosen
        if rows.any()
    )


def _measure(samples: Samples, predicted: Values, rows: Rows) -> Group:
    true = np.asarray(samples.targets[rows], np.float64)
    accuracy = metrics.measure(true, np.asarray(predicted[rows], np.float64))
    return Group(
        num_samples=int(rows.sum()),
        mae_mm=accuracy.mae_mm,
        rmse_mm=accuracy.rmse_mm,
        r2=accuracy.r2,
        true_rms_mm=float(np.sqrt(np.mean(true**2))),
    )


def _measure_dynamic(dynamic: Values, answer: Values) -> DynamicAccuracy:
    accuracy = metrics.measure(dynamic, answer)
    rms = np.sqrt(np.mean((dynamic - dynamic.mean(axis=0)) ** 2))
    return DynamicAccuracy(r2=accuracy.r2, rms_mm=float(rms), rmse_mm=accuracy.rmse_mm)


def _name_bands(edges: Sequence[float], unit: str) -> list[str]:
    """Names of the bands that `np.digitize` by these edges makes of positive values."""
    closed = [f"{low:g} to {high:g} {unit}" for low, high in itertools.pairwise((0.0, *edges))]
    return [*closed, f"over {edges[-1]:g} {unit}"]


def _velocity(samples: Samples, data: Data) -> Values | None:
    columns = own_velocities(data)
    return None if columns is None else np.asarray(samples.features[:, columns], np.float64)
