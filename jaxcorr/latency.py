"""Call-by-call timing of a predictor on this machine. It knows a callable and a clock, no model."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy import ndarray

PERCENTILES = (50, 90, 99, 99.9)

Call = Callable[..., object]


def measure(
    call: Call,
    samples: Sequence[Sequence[float]],
    num_calls: int,
    rate_hz: float | None = None,
    restart_fn: Callable[[], object] | None = None,
) -> dict:
    """Wall-clock latency of single calls, a tenth as many of them to warm up first.

    Args:
        call: takes one sample's values.
        samples: reused in turn.
        num_calls: timed calls.
        rate_hz: calls are spaced to this rate; back to back where it is None.
        restart_fn: called, untimed, before the first sample and each time that they start over.
    Returns:
        p50_us, p90_us, p99_us, p99_9_us, max_us, mean_us, calls_per_s, num_calls.
    """
    time_calls(call, samples, max(num_calls // 10, 1), restart_fn=restart_fn)
    return summarize(time_calls(call, samples, num_calls, rate_hz, restart_fn))


def time_calls(
    call: Call,
    samples: Sequence[Sequence[float]],
    num_calls: int,
    rate_hz: float | None = None,
    restart_fn: Callable[[], object] | None = None,
) -> ndarray:
    """Microseconds that each of `num_calls` calls took; the arguments are those of `measure`.

    Paced calls are woken by the system's timer, as a control loop is: what the processor forgets
    while it sleeps counts, how late it wakes does not.
    """
    elapsed_us = np.empty(num_calls)
    due = time.perf_counter()
    for i in range(num_calls):
        sample = samples[i % len(samples)]
        if restart_fn is not None and i % len(samples) == 0:
            restart_fn()
        if rate_hz is not None:
            due += 1 / rate_hz
            time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter_ns()
        call(*sample)
        elapsed_us[i] = (time.perf_counter_ns() - began) / 1e3
    return elapsed_us


def summarize(elapsed_us: ndarray) -> dict:
    """The figures of `measure`, from microseconds per call."""
    values = np.percentile(elapsed_us, PERCENTILES)
    found = {
        f"p{p:g}_us".replace(".", "_"): float(v) for p, v in zip(PERCENTILES, values, strict=True)
    }
    mean_us = float(elapsed_us.mean())
    return found | {
        "max_us": float(elapsed_us.max()),
        "mean_us": mean_us,
        "calls_per_s": 1e6 / mean_us,
        "num_calls": len(elapsed_us),
    }
