"""A network beside a smooth path: begins as the regression, learns what that leaves, resumes."""

import json
import re

import jax
import numpy as np
import oscillator
import pytest

from jaxcorr.data import trace
from jaxcorr.errors import InputError
from jaxcorr.metrics import measure
from jaxcorr.models import baselines, bulk, grey_box, network
from jaxcorr.training import checkpoint, loop, path_first, test_set
from jaxcorr.training import restore as stream

PATH = {"path": "smooth", "hidden_size": 8, "encoder_size": 8}
DEALT = {"split": {"seed": 2}}  # so that the validation trace has something to add


@pytest.fixture(scope="module")
def begun(layers, tmp_path_factory):
    return oscillator.begin(layers, tmp_path_factory.mktemp("path"), data=DEALT, model=PATH)


@pytest.fixture(scope="module")
def finished(begun):
    """The run, trained to its end, and what happened."""
    return begun, oscillator.fit(begun)


def regression(begun, samples):
    fitted = baselines.fit(begun.spec.data, begun.data.train, begun.data.val)
    return baselines.predict(fitted, samples)["linear_smooth"]


def test_what_is_left_is_the_target_less_the_baseline(begun):
    data = begun.data
    path = path_first.fit_path(begun.spec, data, begun.run.path / test_set.BASELINES).path
    left = path_first.take(begun.spec, path, data.train)
    expected = data.train.targets - regression(begun, data.train)
    np.testing.assert_allclose(left.targets, expected, atol=1e-7)
    assert left.targets.dtype == np.float32
    assert left.features is data.train.features


def test_the_path_is_the_kept_one_unless_it_is_missing(begun, tmp_path):
    fitted = baselines.load(begun.run.path / test_set.BASELINES, begun.spec.data)
    kept = tmp_path / test_set.BASELINES

    def coefficients():
        path = path_first.fit_path(begun.spec, begun.data, kept).path
        return path[network.PATH]["response"]

    assert fitted.smooth is not None
    response = fitted.smooth["response"]
    np.testing.assert_allclose(coefficients(), response, rtol=1e-5, atol=1e-9)
    twice = fitted.smooth | {"response": 2 * response}
    baselines.save(kept, fitted._replace(smooth=twice))
    np.testing.assert_array_equal(coefficients(), 2 * response)


def test_scales_of_whole_targets_are_not_told_of_a_network_that_learns_the_rest(begun, trained):
    told = [json.loads((each.run.path / "stats.json").read_text()) for each in (begun, trained)]
    assert ["targets" in stats for stats in told] == [False, True]
    assert told[0].keys() == told[1].keys() - {"targets"}


def test_without_a_path_nothing_is_fitted_or_taken(trained):
    kept = trained.run.path / test_set.BASELINES
    assert path_first.fit_path(trained.spec, trained.data, kept) == ({}, "")
    assert path_first.take(trained.spec, {}, trained.data.train) is trained.data.train
    assert network.carry_for(trained.spec, 2).path is None
    assert network.PATH not in stream.load_weights(trained.run).weights.network


def test_a_head_of_zero_is_the_baseline_to_rounding(finished):
    begun, _ = finished
    weights = stream.load_weights(begun.run).weights
    silent = jax.tree.map(np.zeros_like, weights.network["head"])
    targets = weights.targets._replace(mean=np.zeros_like(weights.targets.mean))
    bare = weights._replace(network=weights.network | {"head": silent}, targets=targets)
    predicted = bulk.stream(begun.spec, bare, begun.data.test)
    np.testing.assert_allclose(predicted, regression(begun, begun.data.test), atol=1e-6)


def test_training_begins_at_the_baseline_and_is_never_worse_on_validation(finished):
    begun, events = finished
    val = begun.data.val
    alone = measure(val.targets, regression(begun, val).astype(np.float32)).mae_mm
    best = events[-1]
    assert best.best_mae_mm <= alone * (1 + 1e-4)
    loaded = stream.load_weights(begun.run)
    reached = measure(val.targets, bulk.stream(begun.spec, loaded.weights, val)).mae_mm
    assert reached == pytest.approx(best.best_mae_mm, rel=1e-5)
    # The oscillator rings longer than the regression looks back, so there is something to add.
    assert best.best_epoch > 0
    assert reached < alone


def test_where_every_epoch_is_worse_the_regression_alone_is_kept(layers, tmp_path):
    begun = oscillator.begin(
        layers,
        tmp_path,
        model=PATH,
        optimizer={"learning_rate": 1.0, "schedule": "constant"},
        train={"epochs": 1},
    )
    *_, ended = oscillator.fit(begun)
    assert ended.best_epoch == 0
    assert checkpoint.name_best(ended.best_epoch, "smooth") == "the smooth path alone"
    weights = stream.load_weights(begun.run).weights
    np.testing.assert_array_equal(weights.network["head"]["kernel"], 0)


def test_the_optimizer_never_sees_the_path(begun):
    state = loop.update.initialize(begun.spec, 6)
    assert network.PATH not in state.network
    np.testing.assert_array_equal(state.network["head"]["kernel"], 0)


def test_an_interrupted_training_goes_on_bit_for_bit(finished, layers, tmp_path, monkeypatch):
    begun, events = finished
    again = oscillator.begin(layers, tmp_path, data=DEALT, model=PATH)
    # Another fit may differ in its last bits, on as many threads as the machine has then.
    monkeypatch.delattr(baselines, "fit_smooth")
    asked = iter(range(1000))
    *_, stopped = oscillator.fit(again, should_stop=lambda: next(asked) == 9)
    assert stopped.reason == "interrupted"
    *_, ended = oscillator.fit(again)
    np.testing.assert_equal(ended, events[-1])
    saved = [restore(each) for each in (begun, again)]
    for a, b in zip(*map(jax.tree.leaves, saved), strict=True):
        np.testing.assert_array_equal(a, b)


def restore(begun):
    template = stream.load_weights(begun.run).weights
    state = loop.update.initialize(begun.spec, len(template.inputs.mean))
    saved = checkpoint.restore(begun.run.checkpoints, state, template)
    return saved.state.network, saved.best


@pytest.mark.parametrize(
    ("features", "targets"),
    [
        (["x_ref", "y_ref"], ["error_x", "error_y"]),
        (["x_ref", "vx_ref"], ["error_x", "error_y"]),
    ],
)
def test_a_smooth_path_needs_the_velocity_of_each_target(features, targets):
    with pytest.raises(InputError, match=r"each target's velocity among data.features"):
        oscillator.make_spec(
            data={"features": features, "targets": targets},
            model=PATH | {"inputs": "raw"},
        )


PLANT = {"path": "plant", "hidden_size": 8, "encoder_size": 8}


@pytest.fixture(scope="module")
def alone(layers, tmp_path_factory):
    """A run of the plant alone, and what happened."""
    folder = tmp_path_factory.mktemp("plant")
    begun = oscillator.begin(layers, folder, model=PLANT, train={"epochs": 0})
    return begun, oscillator.fit(begun)


def test_a_plant_alone_is_the_baseline_and_can_be_used(alone):
    begun, events = alone
    assert (events[0].note, events[-1].best_epoch) == ("", 0)
    fitted = baselines.load(begun.run.path / test_set.BASELINES, begun.spec.data)
    expected = baselines.predict(fitted, begun.data.test)["physics"]
    loaded = stream.load_weights(begun.run)
    assert (loaded.is_finished, loaded.best) == (True, "the plant alone")
    predicted = bulk.stream(begun.spec, loaded.weights, begun.data.test)
    # A network that says nothing leaves the mean of what the plant leaves.
    np.testing.assert_allclose(predicted, expected + loaded.weights.targets.mean, atol=1e-6)
    assert measure(begun.data.test.targets, predicted).r2 > 0.9
    val = begun.data.val
    reached = measure(val.targets, bulk.stream(begun.spec, loaded.weights, val)).mae_mm
    assert reached == pytest.approx(events[-1].best_mae_mm, rel=1e-5)
    recorded = begun.run.read_path_alone()
    assert recorded is not None
    assert recorded.val_mae_mm == events[-1].best_mae_mm


def test_a_network_learns_what_the_plant_leaves(alone, layers, tmp_path):
    begun = oscillator.begin(layers, tmp_path, model=PLANT)
    *_, ended = oscillator.fit(begun)
    assert ended.best_epoch > 0
    assert ended.best_mae_mm < alone[1][-1].best_mae_mm
    path = path_first.fit_path(begun.spec, begun.data, begun.run.path / test_set.BASELINES).path
    left = path_first.take(begun.spec, path, begun.data.train)
    assert np.std(left.targets) < 0.3 * np.std(begun.data.train.targets)


def test_training_says_why_it_goes_on_without_a_plant(tmp_path, monkeypatch):
    monkeypatch.setattr(grey_box, "MOST_UNEXPLAINED", 0.01)
    folder = tmp_path / "data_simulation_noise_all"
    for layer in range(4):
        rng = np.random.default_rng(layer)
        columns = oscillator.make_layer(rng, 120)
        columns |= {f"error_{axis}": rng.normal(0, 0.01, 120) for axis in "xy"}
        trace.write(folder / f"layer{layer:02d}.mat", columns, {})
    begun = oscillator.begin(f"{folder}/*.mat", tmp_path, model=PLANT, train={"epochs": 1})
    events = oscillator.fit(begun)
    assert re.match(
        r"model\.path = 'plant': the plant explains \d+% of an axis's error.*; training goes on "
        r"without it",
        events[0].note,
    )
    weights = stream.load_weights(begun.run).weights
    assert not np.any(weights.network[network.PATH]["transition"])
    assert network.used_path(begun.spec, weights.network) == "none"
    assert checkpoint.name_best(0, "none") == "the untrained network"


def test_a_plant_needs_the_position_and_velocity_of_each_target():
    with pytest.raises(InputError, match=r"each target's position and velocity among data.feat"):
        oscillator.make_spec(
            data={"features": ["vx_ref", "vy_ref"], "targets": ["error_x", "error_y"]},
            model=PLANT | {"inputs": "raw"},
        )


def test_no_epoch_and_no_path_is_nothing():
    with pytest.raises(InputError, match=r"train.epochs >= 1 for model.path = 'none', got 0"):
        oscillator.make_spec(train={"epochs": 0})
