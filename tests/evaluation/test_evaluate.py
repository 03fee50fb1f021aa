"""Evaluation: the figures of what streaming delivers, and verdicts on them."""

import json

import numpy as np
import pytest

from jaxcorr.errors import InputError
from jaxcorr.evaluation import evaluate
from jaxcorr.evaluation.bootstrap import Paired
from jaxcorr.models import baselines, bulk
from jaxcorr.spec import Targets
from jaxcorr.training import restore

LATENCY = {"p99_us": 100.0}


@pytest.fixture(scope="module")
def loaded(trained):
    return restore.load_weights(trained.run)


@pytest.fixture(autouse=True, scope="module")
def _few_timed_calls():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "NUM_TIMED_CALLS", 100)
        yield


def test_figures_are_those_of_the_streamed_predictions(loaded, trained):
    samples = trained.data.test
    found = evaluate.assess(loaded, samples).found
    residual = bulk.stream(loaded.spec, loaded.weights, samples) - samples.targets
    test = found["test"]
    assert (test["num_traces"], test["num_samples"]) == (1, 300)
    assert test["overall"]["mae_mm"] == pytest.approx(np.abs(residual).mean())
    x = samples.targets[:, 0]
    assert test["x"]["r2"] == pytest.approx(1 - (residual[:, 0] ** 2).mean() / x.var(), rel=1e-5)
    assert test["percentiles"]["p95_mm"] == pytest.approx(np.percentile(np.abs(residual), 95))
    assert 0.3 < test["overall"]["r2"] < test["overall"]["correlation"] < 1
    windowed = bulk.from_windows(loaded.spec, loaded.weights, samples) - samples.targets
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
    found = evaluate.assess(loaded, still).found
    assert found["test"]["overall"]["r2"] is None
    assert found["test"]["x"]["correlation"] is None
    assert not found["targets"]["r2"]["is_met"]
    assert not found["meets_all_targets"]


def test_rows_without_a_target_do_not_count(loaded, trained):
    samples = trained.data.test
    spoiled = samples._replace(lead=30, targets=samples.targets.copy())
    spoiled.targets[:30] = 1e3  # what `roll` left there
    found = evaluate.assess(loaded, spoiled).found
    assert found["test"]["num_samples"] == 270
    assert found["test"]["overall"]["max_mm"] < 1
    assert found["window"]["overall"]["max_mm"] < 1


def test_a_trace_shorter_than_a_window_has_streamed_figures_only(loaded, trained):
    samples = trained.data.test
    short = samples._replace(
        features=samples.features[:19], targets=samples.targets[:19], num_rows=np.array([19])
    )
    assert "window" not in evaluate.assess(loaded, short).found


def test_nothing_to_evaluate_on_is_refused(loaded, trained):
    samples = trained.data.test
    empty = samples._replace(
        features=samples.features[:0], targets=samples.targets[:0],
        first_row=np.zeros(0, int), num_rows=np.zeros(0, int), names=(), parts=(),
    )  # fmt: skip
    with pytest.raises(InputError, match="evaluation: expected test traces, got none"):
        evaluate.assess(loaded, empty)


@pytest.fixture(scope="module")
def fitted(loaded, trained):
    return baselines.fit(loaded.spec.data, trained.data.train, trained.data.val)


@pytest.fixture(scope="module")
def assessed(loaded, trained, fitted):
    best = {"r2": 0.999, "rmse_mm": 1e-4, "mae_mm": 1e-4, "repetitions": 6}
    return evaluate.assess(loaded, trained.data.test, None, fitted, best)


def test_every_rival_is_judged_on_the_same_rows(assessed, trained, fitted):
    rivals = baselines.predict(fitted, trained.data.test)
    found, true = assessed.found, trained.data.test.targets
    assert set(found["baselines"]) == {"zero", "mean", "linear_fir", "linear_binned", "physics"}
    for name, entry in found["baselines"].items():
        rmse = np.sqrt(np.mean((rivals[name] - true) ** 2))
        assert entry["overall"]["rmse_mm"] == pytest.approx(rmse)
        assert set(entry) == {"overall", "x", "y"}
    assert found["baselines"]["zero"]["overall"]["mae_mm"] == pytest.approx(np.abs(true).mean())
    # The toy printer is an oscillator, so the fitted one is hard to beat.
    assert found["best_baseline"] == "physics"
    assert found["identified"]["x"]["frequency_hz"] == pytest.approx(12.0, rel=0.1)
    rival = found["against_best_baseline"]
    ratio = (
        found["test"]["overall"]["rmse_mm"] / found["baselines"]["physics"]["overall"]["rmse_mm"]
    )
    assert rival["rmse_ratio"] == pytest.approx(ratio, rel=1e-5)
    low, high = rival["intervals"]["rmse_ratio"]
    assert 1 < low < ratio < high
    assert rival["sentence"].startswith("The network does not beat the best baseline (physics)")


def test_shares_of_the_ceiling(assessed):
    found = assessed.found
    overall = found["test"]["overall"]
    assert found["ceiling"]["explained_share"] == pytest.approx(overall["r2"] / 0.999)
    assert found["ceiling"]["mae_share"] == pytest.approx(1e-4 / overall["mae_mm"])
    assert evaluate.share_of(None, overall) is None
    flat = evaluate.share_of({"r2": None, "mae_mm": 0.0}, {"r2": None, "mae_mm": 0.0})
    assert (flat["explained_share"], flat["mae_share"]) == (None, None)


def test_intervals_hold_the_figures(assessed):
    found = assessed.found
    for name in ("mae_mm", "rmse_mm", "r2", "correlation"):
        low, high = found["intervals"][name]
        assert low < found["test"]["overall"][name] < high
    assert found["intervals"]["num_blocks"] == 3
    assert "blocks of about 100 samples within traces" in found["intervals"]["method"]


def test_latency_stands_beside_its_limits(assessed):
    latency = assessed.found["latency"]
    assert (latency["limit_us"], latency["period_us"]) == (1000.0, 10_000.0)
    order = [latency[f"{key}_us"] for key in ("p50", "p90", "p99", "p99_9", "max")]
    assert order == sorted(order)


def test_everything_is_plain_json(assessed):
    assert json.loads(json.dumps(assessed.found, allow_nan=False)).keys() == assessed.found.keys()


@pytest.mark.parametrize(
    ("ratio", "interval", "words"),
    [
        (0.5, (0.4, 0.6), "The network beats the best baseline (mean): its RMSE is 0.50 times"),
        (1.5, (1.2, 1.9), "The network does not beat the best baseline (mean)"),
        (0.9, (0.7, 1.1), "do not differ beyond chance"),
        (0.9, None, "too few samples to tell that from chance"),
        (None, None, "Nothing can be said"),
    ],
)
def test_the_sentence_says_no_more_than_the_interval(ratio, interval, words):
    paired = dict.fromkeys(("rmse_ratio", "mae_ratio", "r2"), Paired(ratio, interval))
    found = evaluate.against("mean", paired)
    assert words in found["sentence"]
    assert found["intervals"]["rmse_ratio"] == interval


def test_without_baselines_there_is_nothing_to_beat(loaded, trained):
    found = evaluate.assess(loaded, trained.data.test).found
    assert found["baselines"] == found["identified"] == {}
    assert found["against_best_baseline"] is found["best_baseline"] is found["ceiling"] is None
