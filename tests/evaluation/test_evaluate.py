"""Evaluation: the figures of what streaming delivers, and verdicts on them."""

import json

import numpy as np
import pytest

from jaxcorr import metrics
from jaxcorr.errors import InputError
from jaxcorr.evaluation import evaluate
from jaxcorr.metrics import Accuracy, Ceiling
from jaxcorr.models import baselines, bulk
from jaxcorr.spec import Targets
from jaxcorr.training import restore, test_set

BASELINES = {"zero", "mean", "linear_fir", "linear_smooth", "physics"}


@pytest.fixture(scope="module")
def loaded(trained):
    return restore.load_weights(trained.run)


@pytest.fixture(scope="module")
def kept(trained):
    return test_set.load(trained.run, trained.spec.data, trained.data.test)


@pytest.fixture(autouse=True, scope="module")
def _few_timed_calls():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "NUM_TIMED_CALLS", 100)
        yield


@pytest.fixture(scope="module")
def evaluation(loaded, trained, kept):
    best = Ceiling(r2=0.999, rmse_mm=1e-4, mae_mm=1e-4, repetitions=6)
    return evaluate.evaluate(loaded, trained.data.test, *kept, best).evaluation


def test_figures_are_those_of_the_streamed_predictions(loaded, trained, evaluation):
    samples = trained.data.test
    residual = bulk.stream(loaded.spec, loaded.weights, samples) - samples.targets
    test = evaluation.test
    assert (test.num_traces, test.num_samples) == (1, 300)
    assert test.overall.mae_mm == pytest.approx(np.abs(residual).mean())
    x = samples.targets[:, 0]
    assert test.axes["x"].r2 == pytest.approx(1 - (residual[:, 0] ** 2).mean() / x.var(), rel=1e-5)
    assert test.percentiles["p95_mm"] == pytest.approx(np.percentile(np.abs(residual), 95))
    assert 0.3 < test.overall.r2 < test.overall.correlation < 1
    windowed = bulk.from_windows(loaded.spec, loaded.weights, samples) - samples.targets
    expected = np.nanmean(np.abs(windowed[:, 1]))
    assert evaluation.window.axes["y"].mae_mm == pytest.approx(expected)
    assert evaluation.latency.num_calls == 100
    assert evaluation.targets.mae_mm.value == test.overall.mae_mm
    assert evaluation.best_epoch == loaded.best_epoch
    assert evaluation.is_finished


def test_verdicts():
    overall = Accuracy(mae_mm=0.02, rmse_mm=0.03, r2=0.7, correlation=0.9, max_mm=0.1)
    met = {"mae_mm": 0.02, "r2": 0.7, "inference_ms": 0.1}
    verdicts = evaluate.judge_targets(Targets(**met), overall, 100.0).model_dump()
    assert verdicts == {
        name: {"goal": goal, "value": goal, "is_met": True} for name, goal in met.items()
    }
    for name, goal in {"mae_mm": 0.0199, "r2": 0.71, "inference_ms": 0.09}.items():
        verdicts = evaluate.judge_targets(Targets(**met | {name: goal}), overall, 100.0)
        assert [n for n, v in verdicts.model_dump().items() if not v["is_met"]] == [name]


def test_constant_targets_have_no_r2_and_miss_it(loaded, trained, kept):
    samples = trained.data.test
    still = samples._replace(targets=np.full_like(samples.targets, 0.125))
    flat = evaluate.evaluate(loaded, still, *kept).evaluation
    assert flat.test.overall.r2 is None
    assert flat.test.axes["x"].correlation is None
    assert not flat.targets.r2.is_met
    assert not flat.verdict.meets_targets
    assert not flat.verdict.meets_all_targets


def test_rows_without_a_target_do_not_count(loaded, trained, kept):
    samples = trained.data.test
    spoiled = samples._replace(lead=30, targets=samples.targets.copy())
    spoiled.targets[:30] = 1e3  # what `roll` left there
    found = evaluate.evaluate(loaded, spoiled, *kept).evaluation
    assert found.test.num_samples == 270
    assert found.test.overall.max_mm < 1
    assert found.window.overall.max_mm < 1


def test_a_trace_shorter_than_a_window_has_streamed_figures_only(loaded, trained, kept):
    samples = trained.data.test
    short = samples._replace(
        features=samples.features[:19], targets=samples.targets[:19], num_rows=np.array([19])
    )
    labels = kept.labels._replace(
        feature=kept.labels.feature[:19], friction_mm=kept.labels.friction_mm[:19]
    )
    assert evaluate.evaluate(loaded, short, labels, kept.fitted).evaluation.window is None


def test_nothing_to_evaluate_on_is_refused(loaded, trained, kept):
    samples = trained.data.test
    empty = samples._replace(
        features=samples.features[:0], targets=samples.targets[:0],
        first_row=np.zeros(0, int), num_rows=np.zeros(0, int), names=(), parts=(),
    )  # fmt: skip
    with pytest.raises(InputError, match="evaluation: expected test traces, got none"):
        evaluate.evaluate(loaded, empty, *kept)


def test_samples_on_which_nothing_can_be_predicted_are_refused(loaded, trained, kept):
    wild = trained.data.test.features.copy()
    wild[7] = 1e38
    with pytest.raises(InputError, match="expected finite predictions"):
        evaluate.evaluate(loaded, trained.data.test._replace(features=wild), *kept)


def test_every_baseline_is_judged_on_the_same_rows(evaluation, trained, kept):
    answers = baselines.predict(kept.fitted, trained.data.test)
    true = trained.data.test.targets
    assert set(evaluation.baselines) == BASELINES
    for name, entry in evaluation.baselines.items():
        rmse = np.sqrt(np.mean((answers[name] - true) ** 2))
        assert entry.overall.rmse_mm == pytest.approx(rmse)
        assert set(entry.axes) == {"x", "y"}
    assert evaluation.baselines["zero"].overall.mae_mm == pytest.approx(np.abs(true).mean())
    best = min(evaluation.baselines, key=lambda n: evaluation.baselines[n].overall.rmse_mm)
    assert evaluation.identified["x"].frequency_hz == pytest.approx(12.0, rel=0.1)
    against = evaluation.verdict.against_best
    assert against.name == best
    ratio = evaluation.test.overall.rmse_mm / evaluation.baselines[best].overall.rmse_mm
    assert against.rmse_ratio == pytest.approx(ratio, rel=1e-5)
    low, high = against.intervals.rmse_ratio
    assert low < ratio < high


def test_shares_of_the_ceiling(evaluation):
    overall = evaluation.test.overall
    assert evaluation.ceiling.explained_share == pytest.approx(overall.r2 / 0.999)
    assert evaluation.ceiling.mae_share == pytest.approx(1e-4 / overall.mae_mm)
    assert evaluation.verdict.ceiling_rmse_ratio == pytest.approx(overall.rmse_mm / 1e-4)
    flat = overall.model_copy(update={"r2": None, "mae_mm": 0.0})
    best = Ceiling(r2=None, rmse_mm=0.0, mae_mm=0.0, repetitions=6)
    reached = evaluate.reached_ceiling(best, flat)
    assert (reached.explained_share, reached.mae_share) == (None, None)


def test_intervals_hold_the_figures(evaluation):
    overall, intervals = evaluation.test.overall, evaluation.intervals
    for interval, value in (
        (intervals.mae_mm, overall.mae_mm),
        (intervals.rmse_mm, overall.rmse_mm),
        (intervals.r2, overall.r2),
        (intervals.correlation, overall.correlation),
    ):
        assert interval.low < value < interval.high
    assert intervals.num_blocks == 3
    assert "blocks of about 100 samples within traces" in intervals.method


def test_latency_stands_beside_its_limits(evaluation):
    latency = evaluation.latency
    assert (latency.limit_us, latency.period_us) == (1000.0, 10_000.0)
    order = [latency.p50_us, latency.p90_us, latency.p99_us, latency.p99_9_us, latency.max_us]
    assert order == sorted(order)
    assert order[0] > 0


def test_an_evaluation_survives_its_file(evaluation, tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(evaluation.model_dump(mode="json"), allow_nan=False))
    assert metrics.read(path) == evaluation
