"""Call-by-call timing of a predictor on this machine. It knows a callable and a clock, no model."""

import time
from collections.abc import Callable, Sequence

import numpy as np

PERCENTILES = (50, 90, 99, 99.9)


def measure(
    call: Callable[..., object], samples: Sequence[Sequence[float]], num_calls: int
) -> dict:
    """Wall-clock latency of single calls, samples reused in turn; a tenth as many warm up first.

    Args:
        call: takes one sample's values.
        num_calls: timed calls.
    Returns:
        p50_us, p90_us, p99_us, p99_9_us, max_us, mean_us, calls_per_s, num_calls.
    """
    for i in range(max(num_calls // 10, 1)):
        call(*samples[i % len(samples)])
    elapsed_us = np.empty(num_calls)
    for i in range(num_calls):
        sample = samples[i % len(samples)]
        began = time.perf_counter_ns()
        call(*sample)
        elapsed_us[i] = (time.perf_counter_ns() - began) / 1e3
    values = np.percentile(elapsed_us, PERCENTILES)
    found = {
        f"p{p:g}_us".replace(".", "_"): float(v) for p, v in zip(PERCENTILES, values, strict=True)
    }
    mean_us = float(elapsed_us.mean())
    return found | {
        "max_us": float(elapsed_us.max()),
        "mean_us": mean_us,
        "calls_per_s": 1e6 / mean_us,
        "num_calls": num_calls,
    }
