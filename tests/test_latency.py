"""Timing single calls: against a clock that we set."""

import time

import pytest

from jaxcorr import latency


def test_percentiles_of_known_times(monkeypatch):
    now_ns, seen = [0], []

    def call(i, doubled):
        seen.append((i, doubled))
        now_ns[0] += 1000 * max(len(seen) - 100, 1)  # 1, 2, ... 1000 us, after the warm-up

    monkeypatch.setattr(time, "perf_counter_ns", lambda: now_ns[0])
    found = latency.measure(call, [(0, 0), (1, 2), (2, 4)], num_calls=1000)
    assert len(seen) == 1100
    assert seen[:4] == [(0, 0), (1, 2), (2, 4), (0, 0)]
    assert found["p50_us"] == pytest.approx(500.5)
    assert found["p99_9_us"] == pytest.approx(999.001)
    assert (found["max_us"], found["mean_us"], found["num_calls"]) == (1000.0, 500.5, 1000)
    assert found["calls_per_s"] == pytest.approx(1e6 / 500.5)
