"""Evaluation: the figures of what streaming delivers, and verdicts on them."""

import numpy as np
import pytest

from jaxcorr import evaluate, predict, stream
from jaxcorr.errors import InputError
from jaxcorr.spec import Targets

LATENCY = {"p99_us": 100.0}


@pytest.fixture(scope="module")
def loaded(trained):
    return stream.load_weights(trained.run)


@pytest.fixture(autouse=True)
def _few_timed_calls(monkeypatch):
    monkeypatch.setattr(evaluate, "NUM_TIMED_CALLS", 100)


def test_figures_are_those_of_the_streamed_predictions(loaded, trained):
    samples = trained.data.test
    found = evaluate.evaluate(loaded, samples)
    residual = predict.stream(loaded.spec, loaded.weights, samples) - samples.targets
    test = found["test"]
    assert (test["num_traces"], test["num_samples"]) == (1, 300)
    assert test["overall"]["mae_mm"] == pytest.approx(np.abs(residual).mean())
    x = samples.targets[:, 0]
    assert test["x"]["r2"] == pytest.approx(1 - (residual[:, 0] ** 2).mean() / x.var(), rel=1e-5)
    assert test["percentiles"]["p95_mm"] == pytest.approx(np.percentile(np.abs(residual), 95))
    assert 0.3 < test["overall"]["r2"] < test["overall"]["correlation"] < 1
    windowed = predict.from_windows(loaded.spec, loaded.weights, samples) - samples.targets
    expected = np.nanmean(np.abs(windowed[:, 1]))
    assert found["window"]["y"]["mae_mm"] == pytest.approx(expected)
    assert found["latency"]["num_calls"] == 100
    assert 0 < found["latency"]["p50_us"] <= found["latency"]["p99_us"]
    assert found["targets"]["mae_mm"]["value"] == test["overall"]["mae_mm"]


def test_verdicts():
    metrics = {"test": {"overall": {"mae_mm": 0.02, "r2": 0.7}}, "latency": LATENCY}
    met = {"mae_mm": 0.02, "r2": 0.7, "inference_ms": 0.1}
    verdicts = evaluate.judge(Targets(**met), metrics)
    assert {name: (v["goal"], v["value"], v["is_met"]) for name, v in verdicts.items()} == {
        name: (goal, goal, True) for name, goal in met.items()
    }
    for name, goal in {"mae_mm": 0.0199, "r2": 0.71, "inference_ms": 0.09}.items():
        verdicts = evaluate.judge(Targets(**met | {name: goal}), metrics)
        assert [n for n, v in verdicts.items() if not v["is_met"]] == [name]


def test_constant_targets_have_no_r2_and_miss_it(loaded, trained):
    samples = trained.data.test
    still = samples._replace(targets=np.full_like(samples.targets, 0.125))
    found = evaluate.evaluate(loaded, still)
    assert found["test"]["overall"]["r2"] is None
    assert found["test"]["x"]["correlation"] is None
    assert not found["targets"]["r2"]["is_met"]
    assert not found["meets_all_targets"]


def test_rows_without_a_target_do_not_count(loaded, trained):
    samples = trained.data.test
    spoiled = samples._replace(lead=30, targets=samples.targets.copy())
    spoiled.targets[:30] = 1e3  # what `roll` left there
    found = evaluate.evaluate(loaded, spoiled)
    assert found["test"]["num_samples"] == 270
    assert found["test"]["overall"]["max_mm"] < 1
    assert found["window"]["overall"]["max_mm"] < 1


def test_a_trace_shorter_than_a_window_has_streamed_figures_only(loaded, trained):
    samples = trained.data.test
    short = samples._replace(
        features=samples.features[:19], targets=samples.targets[:19], num_rows=np.array([19])
    )
    assert "window" not in evaluate.evaluate(loaded, short)


def test_nothing_to_evaluate_on_is_refused(loaded, trained):
    samples = trained.data.test
    empty = samples._replace(
        features=samples.features[:0], targets=samples.targets[:0],
        first_row=np.zeros(0, int), num_rows=np.zeros(0, int), names=(), parts=(),
    )  # fmt: skip
    with pytest.raises(InputError, match="evaluation: expected test traces, got none"):
        evaluate.evaluate(loaded, empty)
