"""Timing single calls: against a clock that we set."""

import time

import pytest
from planned import SHORT, plan_of

from jaxcorr import Predictor
from jaxcorr.deploy import timing


def test_percentiles_of_known_times(monkeypatch):
    now_ns, seen = [0], []

    def call(i, doubled):
        seen.append((i, doubled))
        now_ns[0] += 1000 * max(len(seen) - 100, 1)  # 1, 2, ... 1000 us, after the warm-up

    monkeypatch.setattr(time, "perf_counter_ns", lambda: now_ns[0])
    found = timing.measure(call, [(0, 0), (1, 2), (2, 4)], num_calls=1000)
    assert len(seen) == 1100
    assert seen[:4] == [(0, 0), (1, 2), (2, 4), (0, 0)]
    assert found["p50_us"] == pytest.approx(500.5)
    assert found["p99_9_us"] == pytest.approx(999.001)
    assert (found["max_us"], found["mean_us"], found["num_calls"]) == (1000.0, 500.5, 1000)
    assert found["calls_per_s"] == pytest.approx(1e6 / 500.5)


def test_samples_start_over_after_a_restart():
    seen = []
    timing.time_calls(seen.append, [[1.0], [2.0]], 3, lambda: seen.append("restart"))
    assert seen == ["restart", 1.0, 2.0, "restart", 1.0]


class Clock:
    """A clock that only sleeping, looking at it and working move on."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(time, "perf_counter", self.look)
        monkeypatch.setattr(time, "sleep", self.work)

    def look(self):
        self.now += 1e-6
        return self.now

    def work(self, seconds):
        self.now += seconds


def test_paced_calls_keep_their_rate(monkeypatch):
    clock = Clock(monkeypatch)
    began = []

    def call(_):
        began.append(clock.now)
        clock.work(0.002)

    found = timing.pace(call, [[0.0]], 50, rate_hz=100.0)
    assert began == pytest.approx([0.01 * (i + 1) for i in range(50)], abs=1e-5)
    assert found.latency_us == pytest.approx(2000, abs=2)
    assert found.lateness_us == pytest.approx(0, abs=4)
    assert found.num_missed == 0


def test_a_late_tick_is_counted_and_does_not_shift_the_rest(monkeypatch):
    clock = Clock(monkeypatch)
    took = iter([0.001, 0.025, *[0.001] * 8])
    found = timing.pace(lambda _: clock.work(next(took)), [[0.0]], 10, rate_hz=100.0)
    # The second ends 25 ms after it was due; the third is 15 ms late, the fourth 6 and in time.
    assert found.num_missed == 2
    late_ms = found.lateness_us / 1e3
    assert late_ms[:5] == pytest.approx([0, 0, 15, 6, 0], abs=0.02)
    assert late_ms[5:] == pytest.approx(0, abs=0.02)


def test_warming_up_comes_before_the_call_is_due(monkeypatch):
    clock = Clock(monkeypatch)
    seen = []

    def warm():
        seen.append(("warm", clock.now))
        clock.work(0.0002)

    found = timing.pace(lambda _: seen.append(("call", clock.now)), [[0.0]], 3, 100.0, warm)
    assert [name for name, _ in seen] == ["warm", "call"] * 3
    for (_, warmed), (_, called), due in zip(
        seen[::2], seen[1::2], (0.01, 0.02, 0.03), strict=True
    ):
        assert warmed == pytest.approx(due - timing.LEAD_S, abs=1e-5)
        assert called == pytest.approx(due, abs=1e-5)
    assert found.lateness_us == pytest.approx(0, abs=4)


@pytest.mark.parametrize("warm", [True, False])
def test_loop_ticks_and_starts_a_short_layer_over(trained, tmp_path, warm):
    plan = plan_of(tmp_path, *SHORT)
    fast = Predictor.load(trained.run.path, rate_hz=1000, mode="hold")
    ticks = timing.run_loop(fast, plan, 1000.0, 0.2, warm)
    figures = timing.summarize_loop(ticks)
    assert figures["num_ticks"] == 200 == fast.status.num_steps + fast.status.num_held
    assert sum(figures["histogram"]["counts"]) <= 200
    assert 0 <= figures["num_missed"] <= 200
    assert figures["jitter"]["p50_us"] >= 0
    assert figures["latency"]["num_calls"] == 200
