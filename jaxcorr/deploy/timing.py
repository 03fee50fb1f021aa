"""Latency of single calls, back to back and in a loop at a control rate, on this machine.

The control loop reads the reference of a planned layer at its rate and asks the predictor at each
tick.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.deploy.predictor import Predictor
from jaxcorr.printer.planner import Plan, reference_rows

PERCENTILES = (50, 90, 99, 99.9)
# A paced call that is warmed up is woken this long before it is due, or this part of the period.
LEAD_S = 1e-3
LEAD_SHARE = 0.4
HISTOGRAM_EDGES_US = (0, 10, 20, 30, 50, 80, 120, 200, 500, 1000, 10_000)

Call = Callable[..., object]
Action = Callable[[], object]


class Paced(NamedTuple):
    """What the ticks of a paced loop were like.

    Attributes:
        latency_us: that each call took.
        lateness_us: from when each call was due to when it began.
        num_missed: calls that ended after the next one was due.
    """

    latency_us: Float[ndarray, " n"]
    lateness_us: Float[ndarray, " n"]
    num_missed: int


class Ticks(NamedTuple):
    """A loop that ran, and the reference that it read."""

    rate_hz: float
    paced: Paced


def measure(
    call: Call,
    samples: Sequence[Sequence[float]],
    num_calls: int,
    restart_fn: Action | None = None,
) -> dict[str, Any]:
    """Wall-clock latency of single calls back to back, a tenth as many of them to warm up first.

    Args:
        call: takes one sample's values.
        samples: reused in turn.
        num_calls: timed calls.
        restart_fn: called, untimed, before the first sample and each time that they start over.
    Returns:
        p50_us, p90_us, p99_us, p99_9_us, max_us, mean_us, calls_per_s, num_calls.
    """
    time_calls(call, samples, max(num_calls // 10, 1), restart_fn)
    return summarize(time_calls(call, samples, num_calls, restart_fn))


def time_calls(
    call: Call,
    samples: Sequence[Sequence[float]],
    num_calls: int,
    restart_fn: Action | None = None,
) -> Float[ndarray, " n"]:
    """Microseconds that each of `num_calls` calls took, back to back; arguments as of `measure`."""
    elapsed_us = np.empty(num_calls)
    for i in range(num_calls):
        if restart_fn is not None and i % len(samples) == 0:
            restart_fn()
        sample = samples[i % len(samples)]
        began = time.perf_counter_ns()
        call(*sample)
        elapsed_us[i] = (time.perf_counter_ns() - began) / 1e3
    return elapsed_us


def pace(
    call: Call,
    samples: Sequence[Sequence[float]],
    num_calls: int,
    rate_hz: float,
    warm_fn: Action | None = None,
    restart_fn: Action | None = None,
) -> Paced:
    """Makes calls at a rate, woken by the system's timer, as a control loop does.

    What a processor forgets while it sleeps counts. With `warm_fn` the loop wakes a little early,
    calls that, and then watches the clock until the call is due.

    Args:
        rate_hz: of the calls; one that is late does not shift those after it.
        warm_fn: brings what the call needs back into the caches.
        call, samples, num_calls, restart_fn: as of `measure`.
    """
    latency_us, lateness_us, num_missed = np.empty(num_calls), np.empty(num_calls), 0
    lead_s = min(LEAD_S, LEAD_SHARE / rate_hz) if warm_fn is not None else 0.0
    start = time.perf_counter()
    for i in range(num_calls):
        if restart_fn is not None and i % len(samples) == 0:
            restart_fn()
        sample, due = samples[i % len(samples)], start + (i + 1) / rate_hz
        time.sleep(max(0.0, due - lead_s - time.perf_counter()))
        if warm_fn is not None:
            warm_fn()
            while time.perf_counter() < due:
                pass
        began = time.perf_counter()
        call(*sample)
        ended = time.perf_counter()
        latency_us[i], lateness_us[i] = 1e6 * (ended - began), 1e6 * (began - due)
        num_missed += ended > due + 1 / rate_hz
    return Paced(latency_us, lateness_us, num_missed)


def run_loop(
    predictor: Predictor, plan: Plan, rate_hz: float, seconds: float, warm: bool = True
) -> Ticks:
    """Runs the paced loop; a layer that is shorter starts over.

    Args:
        predictor: for samples at this rate.
        warm: calls `Predictor.warm` shortly before each tick.
    """
    rows = reference_rows(plan, rate_hz, seconds).tolist()
    num_ticks = max(1, round(seconds * rate_hz))
    warm_fn = predictor.warm if warm else None
    paced = pace(predictor.step, rows, num_ticks, rate_hz, warm_fn, predictor.reset)
    return Ticks(rate_hz, paced)


def summarize_loop(ticks: Ticks) -> dict[str, Any]:
    """Figures of a loop: num_ticks, num_missed, latency, jitter (lateness) and a histogram."""
    paced = ticks.paced
    # The last bin has all that took longer.
    capped = np.minimum(paced.latency_us, HISTOGRAM_EDGES_US[-1])
    counts, _ = np.histogram(capped, HISTOGRAM_EDGES_US)
    return {
        "rate_hz": ticks.rate_hz,
        "num_ticks": len(paced.latency_us),
        "num_missed": paced.num_missed,
        "latency": summarize(paced.latency_us),
        "jitter": summarize(paced.lateness_us),
        "histogram": {"edges_us": list(HISTOGRAM_EDGES_US), "counts": counts.tolist()},
    }


def summarize(elapsed_us: Float[ndarray, " n"]) -> dict[str, Any]:
    """The figures of `measure`, from microseconds per call."""
    values = np.percentile(elapsed_us, PERCENTILES)
    percentiles = {
        f"p{p:g}_us".replace(".", "_"): float(v) for p, v in zip(PERCENTILES, values, strict=True)
    }
    mean_us = float(elapsed_us.mean())
    return percentiles | {
        "max_us": float(elapsed_us.max()),
        "mean_us": mean_us,
        "calls_per_s": 1e6 / mean_us,
        "num_calls": len(elapsed_us),
    }
