"""The verdict: it says no more than the interval, and what is simpler and no worse is advised."""

import numpy as np
import oscillator
import pytest

from jaxcorr.evaluation import bootstrap, verdict
from jaxcorr.evaluation.bootstrap import Paired
from jaxcorr.evaluation.verdict import Model
from jaxcorr.metrics import Ceiling, Interval, ReachedTarget, ReachedTargets
from jaxcorr.models import baselines, grey_box
from jaxcorr.training import test_set

NETWORK = Model("none", has_network=True, paths=("plant", "smooth"))
BESIDE = NETWORK._replace(path="plant")
ALONE = BESIDE._replace(has_network=False)
WON, LEVEL, LOST = (0.5, (0.4, 0.6)), (0.97, (0.9, 1.05)), (1.2, (1.1, 1.3))


def against(largest=1.0, **ratios):
    """Baselines by name, with ratio and interval of the RMSE."""
    found = {}
    for name, (ratio, interval) in ratios.items():
        one = Paired(ratio, interval and Interval(*interval))
        found[name] = verdict.against_baseline(
            name, dict.fromkeys(("rmse_ratio", "mae_ratio", "r2"), one), largest
        )
    return found


def targets(is_met=True):
    met = ReachedTarget(goal=1.0, value=1.0, is_met=True)
    return ReachedTargets(
        mae_mm=met, inference_ms=met, r2=met.model_copy(update={"is_met": is_met})
    )


def judge(model, is_met=True, ceiling=None, **ratios):
    return verdict.judge(model, against(**ratios), targets(is_met), 0.003, ceiling)


@pytest.mark.parametrize(
    ("ratio", "interval", "outcome"),
    [
        (0.5, (0.4, 0.6), "better"),
        (1.5, (1.2, 1.9), "worse"),
        (0.9, (0.7, 1.1), "level"),
        (0.9, None, "unknown"),
        (None, None, "worse"),  # the baseline makes no error
    ],
)
def test_an_outcome_says_no_more_than_the_interval(ratio, interval, outcome):
    one = against(mean=(ratio, interval))["mean"]
    assert one.outcome == outcome
    assert one.intervals.rmse_ratio == interval


def test_a_model_that_errs_far_more_at_its_worst_has_not_won():
    how = NETWORK, against(2.5, linear_smooth=WON), targets(), 0.003, None
    found = verdict.judge(*how)
    assert (found.against_best.outcome, found.advice) == ("wild", "smooth")
    assert not found.beats_baselines
    assert against(1.9, linear_smooth=WON)["linear_smooth"].outcome == "better"


@pytest.mark.parametrize(
    ("name", "ratio", "advice"),
    [
        ("physics", WON, "model"),
        ("physics", LEVEL, "plant"),
        ("physics", LOST, "plant"),
        ("linear_fir", LOST, "smooth"),
        ("linear_smooth", LEVEL, "smooth"),
        ("mean", LEVEL, "mean"),
        ("zero", LOST, "zero"),
        ("zero", (None, None), "zero"),
        ("physics", (0.5, None), "more_traces"),
    ],
)
def test_a_network_is_judged_by_the_best_baseline(name, ratio, advice):
    worse = {other: (0.1, (0.05, 0.2)) for other in ("zero", "mean", "linear_fir")}
    found = judge(NETWORK, **(worse | {name: ratio}))
    assert (found.against_best.name, found.advice) == (name, advice)
    assert found.beats_baselines == found.meets_all_targets == (advice == "model")
    assert found.meets_targets
    assert found.against_path is None


def test_all_targets_are_met_only_where_numbers_and_baselines_are():
    missed = judge(NETWORK, is_met=False, physics=WON)
    assert (missed.meets_targets, missed.beats_baselines, missed.advice) == (False, True, "model")
    assert not missed.meets_all_targets


def test_a_network_beside_a_path_has_to_beat_the_path_too():
    found = judge(BESIDE, physics=LEVEL, linear_smooth=(0.98, (0.97, 0.99)))
    assert (found.against_best.name, found.against_path.name) == ("linear_smooth", "physics")
    assert (found.beats_baselines, found.advice) == (False, "plant")
    won = judge(BESIDE, physics=WON, linear_smooth=(0.1, (0.05, 0.2)))
    assert won.against_path == won.against_best
    assert won.meets_all_targets


def test_a_path_alone_is_judged_by_the_best_other_baseline():
    equal = (1.0, (0.999, 1.001))
    found = judge(ALONE, physics=equal, linear_smooth=WON, zero=(0.01, (0.0, 0.02)))
    assert (found.against_best.name, found.against_path) == ("linear_smooth", None)
    assert (found.meets_all_targets, found.advice) == (True, "model")
    assert judge(ALONE, physics=equal, linear_smooth=LEVEL).advice == "model"
    assert judge(ALONE, physics=equal, linear_smooth=LOST).advice == "smooth"
    assert judge(ALONE, physics=equal, mean=LEVEL).advice == "mean"


def test_only_what_can_run_is_advised():
    assert judge(NETWORK._replace(paths=()), linear_fir=LOST).advice == "baseline"
    smooth = ALONE._replace(path="smooth")
    assert judge(smooth, linear_smooth=(1.0, None), linear_fir=LOST).advice == "baseline"


def test_the_ceiling_is_a_ratio_where_it_is_known():
    ceiling = Ceiling(r2=0.999, rmse_mm=0.002, mae_mm=0.001, repetitions=6)
    assert judge(NETWORK, ceiling=ceiling, physics=WON).ceiling_rmse_ratio == pytest.approx(1.5)
    silent = ceiling.model_copy(update={"rmse_mm": 0.0})
    assert judge(NETWORK, ceiling=silent, physics=WON).ceiling_rmse_ratio is None
    assert judge(NETWORK, physics=WON).ceiling_rmse_ratio is None


def test_every_baseline_is_compared_on_the_same_rows():
    true = np.random.default_rng(0).normal(size=(400, 2))
    answers = {"zero": 0 * true, "mean": 0.5 * true}
    blocks = bootstrap.cut(
        np.array([0, 200]), np.array([200, 200]), np.full(400, True), ["a", "b"], 100.0
    )
    found = verdict.compare_with_each(true, 0.75 * true, answers, blocks)
    assert found["zero"].rmse_ratio == pytest.approx(0.25)
    assert found["mean"].mae_ratio == pytest.approx(0.5)
    assert found["zero"].outcome == "better"


def test_a_run_says_what_its_predictions_come_from(trained):
    fitted = baselines.load(trained.run.path / test_set.BASELINES, trained.spec.data)
    unfit = fitted._replace(plant=None)
    spec = oscillator.make_spec(model={"path": "plant"})
    assert fitted.plant is not None
    assert grey_box.is_fit(fitted.plant)
    assert verdict.describe(trained.spec, 3, fitted) == NETWORK
    assert verdict.describe(spec, 3, fitted) == BESIDE
    assert verdict.describe(spec, 0, fitted) == ALONE
    # Where the plant was of no use, the network ran by itself.
    assert verdict.describe(spec, 0, unfit) == Model("none", True, ("smooth",))
