"""A second-order oscillator per axis, identified from traces: the physics for a network to beat.

Each axis deviates by the response of e'' + 2 z w e' + w^2 e = -a + w^2 F tanh(v / v_s) to the
reference's acceleration a and velocity v. Natural frequency w, damping ratio z and v_s come from a
grid and least squares; what they leave linear (the gain of each state, F, an offset) is regressed,
so that a prediction h samples ahead costs nothing more. It knows velocities and errors at a steady
rate, no positions, no other disturbance and no model.

Between samples the acceleration is constant and the friction is held, so each response is exact: a
linear filter of second order.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import least_squares
from scipy.signal import lfilter

GRID_SHARES = (0.05, 0.08, 0.12, 0.17, 0.21, 0.25, 0.3, 0.4)  # of the sampling rate
GRID_DAMPING = (0.05, 0.15, 0.5)
START_FRICTION_MM_S = 2.0
# Enough for three parameters; the gains are regressed on all rows.
SEARCH_ROWS = 12_000
SEARCH_TRACES = 8
RIDGE = 1e-12

Table = Float[ndarray, "_ _"]
Column = Float[ndarray, "_"]
Traces = Callable[[], Iterable[tuple[Table, Table]]]


class Mode(NamedTuple):
    """One axis's oscillator."""

    frequency_hz: float  # undamped
    damping_ratio: float
    friction_velocity_mm_s: float


def fit(
    traces: Traces, lead: int, horizon: int, rate_hz: float
) -> tuple[tuple[Mode, ...], Float[ndarray, "axes r"]]:
    """Identifies the oscillator of each axis, and regresses its readout.

    Args:
        traces: gives velocities (mm/s) and errors (mm) of each trace, as often as called; axis i of
            the one belongs to axis i of the other.
        lead: rows without a target at the start of each trace.
        horizon: samples from a row to its target.
        rate_hz: of the rows.
    """
    few = _few(traces(), lead)
    num_axes = few[0][1].shape[1]
    modes = tuple(
        _search([(v[:, i], y[:, i]) for v, y in few], lead, horizon, rate_hz)
        for i in range(num_axes)
    )
    gram, moment = [0.0] * num_axes, [0.0] * num_axes
    for speeds, targets in traces():
        for i, mode in enumerate(modes):
            x = states(mode, speeds[:, i], horizon, rate_hz)[lead:]
            gram[i] = gram[i] + x.T @ x
            moment[i] = moment[i] + x.T @ targets[lead:, i]
    readout = [_solve(np.asarray(g), np.asarray(m)) for g, m in zip(gram, moment, strict=True)]
    return modes, np.array(readout)


def predict(
    modes: tuple[Mode, ...],
    readout: Float[ndarray, "axes r"],
    speeds_mm_s: Table,
    horizon: int,
    rate_hz: float,
) -> Table:
    """Predicted errors (mm) of one trace, from rest at its first row."""
    return np.column_stack(
        [
            states(mode, speeds_mm_s[:, i], horizon, rate_hz) @ readout[i]
            for i, mode in enumerate(modes)
        ]
    )


def states(mode: Mode, speed_mm_s: Column, horizon: int, rate_hz: float) -> Float[ndarray, "n r"]:
    """What an axis's error is regressed on, all of it known at each row.

    Columns: displacement and scaled velocity of the response to acceleration, of that to friction,
    friction itself, the acceleration, and a one. With horizon < 0 those of the earlier instant that
    the target belongs to come first, and the newest ones follow.
    """
    friction = np.tanh(speed_mm_s / mode.friction_velocity_mm_s)
    accel = np.diff(speed_mm_s, prepend=speed_mm_s[:1]) * rate_hz
    w = 2 * np.pi * mode.frequency_hz
    answers = respond(mode, np.column_stack([-accel, w * w * friction]), rate_hz)
    now = np.column_stack([*answers, friction, accel / w**2])
    earlier = np.concatenate([np.zeros((max(-horizon, 0), now.shape[1])), now])[: len(now)]
    return np.column_stack([*([earlier] if horizon < 0 else []), now, np.ones(len(now))])


def respond(mode: Mode, force: Table, rate_hz: float) -> tuple[Table, Table]:
    """Displacement e and e'/w under forces per mass that are held over the step to each row."""
    w, z = 2 * np.pi * mode.frequency_hz, mode.damping_ratio
    # [e, e'/w]' = rates [e, e'/w] + [0, f/w] with f constant, stepped exactly. Closed, since a
    # search asks a thousand times; complex, since it may pass the critical damping.
    rates, time_s = np.array([[0.0, w], [-w, -2 * z * w]]), 1 / rate_hz
    angle = w * time_s * np.sqrt(1 - z * z + 0j)
    turn = np.cos(angle).real * np.eye(2)
    turn += time_s * np.sinc(angle / np.pi).real * (rates + z * w * np.eye(2))
    a = np.exp(-z * w * time_s) * turn
    b = np.linalg.solve(rates, (a - np.eye(2)) @ [0.0, 1 / w])
    denominator = [1.0, -np.trace(a), np.linalg.det(a)]
    # (I - A/z)^-1 b = adj(I - A/z) b / det: the adjugate of a 2x2 matrix is linear in 1/z.
    adjugate = np.array([[-a[1, 1], a[0, 1]], [a[1, 0], -a[0, 0]]])
    e, scaled_v = (
        np.asarray(lfilter(numerator, denominator, force, axis=0))
        for numerator in np.stack([b, adjugate @ b], axis=1)
    )
    return e, scaled_v


def _few(traces: Iterable[tuple[Table, Table]], lead: int) -> list[tuple[Table, Table]]:
    """The beginning of as many traces as the search needs, an equal length of each."""
    chosen: list[tuple[Table, Table]] = []
    for speeds, targets in traces:
        if len(targets) > lead:
            chosen.append((speeds[:SEARCH_ROWS], targets[:SEARCH_ROWS]))
    chosen = chosen[:: -(-len(chosen) // SEARCH_TRACES)]
    most = max(SEARCH_ROWS // len(chosen), 4 * (lead + 1))
    return [(speeds[:most], targets[:most]) for speeds, targets in chosen]


def _search(traces: list[tuple[Column, Column]], lead: int, horizon: int, rate_hz: float) -> Mode:
    """The best of a grid, refined; the linear coefficients are regressed at every try."""
    target = np.concatenate([y[lead:] for _, y in traces])

    def residual(at: ndarray) -> Column:
        mode = _mode(at, rate_hz)
        x = np.concatenate([states(mode, v, horizon, rate_hz)[lead:] for v, _ in traces])
        return target - x @ _solve(x.T @ x, x.T @ target)

    grid = [
        np.log([share * rate_hz, damping, START_FRICTION_MM_S])
        for share in GRID_SHARES
        for damping in GRID_DAMPING
    ]
    start = min(grid, key=lambda at: float(np.sum(residual(at) ** 2)))
    size = max(float(np.std(target)), 1e-9)
    found = least_squares(
        lambda at: residual(at) / size, start, method="lm", xtol=1e-10, ftol=1e-10, max_nfev=25
    )
    return _mode(found.x, rate_hz)


def _mode(at: ndarray, rate_hz: float) -> Mode:
    """Parameters from their logarithms, kept where the filter makes sense."""
    lowest = np.array([0.005 * rate_hz, 1e-3, 1e-2])
    highest = np.array([0.49 * rate_hz, 5.0, 100.0])
    return Mode(*np.clip(np.exp(np.clip(at, -20, 20)), lowest, highest).tolist())


def _solve(gram: Float[ndarray, "r r"], moment: Float[ndarray, " r"]) -> Float[ndarray, " r"]:
    """Least squares from normal equations; a regressor that is always zero gets no weight."""
    size = np.sqrt(np.diag(gram))
    scale = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 0.0)
    values, vectors = np.linalg.eigh(gram * scale[:, None] * scale)
    inverse = 1 / (np.maximum(values, 0.0) + RIDGE)
    return (vectors @ (inverse * (vectors.T @ (moment * scale)))) * scale
