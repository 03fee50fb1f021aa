"""A network beside a linear path: begins as the regression, learns what that leaves, resumes."""

import json

import jax
import numpy as np
import oscillator
import pytest

from jaxcorr.compensation import model_map
from jaxcorr.errors import InputError
from jaxcorr.metrics import measure
from jaxcorr.models import baselines, bulk, linear_path, network
from jaxcorr.training import checkpoint, loop, path_first, test_set
from jaxcorr.training import restore as stream

PATH = {"linear_path": "binned", "hidden_size": 8, "encoder_size": 8}


@pytest.fixture(scope="module")
def begun(layers, tmp_path_factory):
    return oscillator.begin(layers, tmp_path_factory.mktemp("path"), model=PATH)


@pytest.fixture(scope="module")
def finished(begun):
    """The run, trained to its end, and what happened."""
    return begun, oscillator.fit(begun)


def regression(begun, samples):
    fitted = baselines.fit(begun.spec.data, begun.data.train, begun.data.val)
    return baselines.predict(fitted, samples)["linear_binned"]


def test_what_is_left_is_the_target_less_the_baseline(begun):
    data = begun.data
    path = path_first.fit_path(begun.spec, data, begun.run.path / test_set.BASELINES)
    left = path_first.take(begun.spec, path, data.train)
    expected = data.train.targets - regression(begun, data.train)
    np.testing.assert_allclose(left.targets, expected, atol=1e-7)
    assert left.targets.dtype == np.float32
    assert left.features is data.train.features


def test_the_path_is_the_kept_one_unless_it_is_missing(begun, tmp_path):
    fitted = baselines.load(begun.run.path / test_set.BASELINES)
    kept = tmp_path / test_set.BASELINES

    def coefficients():
        path = path_first.fit_path(begun.spec, begun.data, kept)
        return linear_path.to_coefficients(path[network.LINEAR_PATH])

    np.testing.assert_allclose(coefficients(), fitted.binned, rtol=1e-5)
    baselines.save(kept, fitted._replace(binned=2 * fitted.binned))
    np.testing.assert_array_equal(coefficients(), 2 * fitted.binned.astype(np.float32))


def test_scales_of_whole_targets_are_not_told_of_a_network_that_learns_the_rest(begun, trained):
    told = [json.loads((each.run.path / "stats.json").read_text()) for each in (begun, trained)]
    assert ["targets" in stats for stats in told] == [False, True]
    assert told[0].keys() == told[1].keys() - {"targets"}


def test_without_a_path_nothing_is_fitted_or_taken(trained):
    kept = trained.run.path / test_set.BASELINES
    assert path_first.fit_path(trained.spec, trained.data, kept) == {}
    assert path_first.take(trained.spec, {}, trained.data.train) is trained.data.train
    assert network.carry_for(trained.spec, 2).pending is None
    assert network.LINEAR_PATH not in stream.load_weights(trained.run).weights.network


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
    assert path_first.name_best(begun.spec, ended.best_epoch) == "the linear path alone"
    weights = stream.load_weights(begun.run).weights
    np.testing.assert_array_equal(weights.network["head"]["kernel"], 0)


def test_the_optimizer_never_sees_the_path(begun):
    state = loop.update.initialize(begun.spec, 6)
    assert network.LINEAR_PATH not in state.network
    np.testing.assert_array_equal(state.network["head"]["kernel"], 0)


def test_an_interrupted_training_goes_on_bit_for_bit(finished, layers, tmp_path, monkeypatch):
    begun, events = finished
    again = oscillator.begin(layers, tmp_path, model=PATH)
    # Another fit may differ in its last bits, on as many threads as the machine has then.
    monkeypatch.delattr(baselines, "regress")
    asked = iter(range(1000))
    *_, stopped = oscillator.fit(again, should_stop=lambda: next(asked) == 9)
    assert stopped.reason == "interrupted"
    *_, ended = oscillator.fit(again)
    assert ended == events[-1]
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
        (["x_ref", "vx_ref"], ["error_x"]),
    ],
)
def test_a_path_needs_the_velocities_of_two_targets(features, targets):
    with pytest.raises(InputError, match=r"two targets with their velocities among data.features"):
        oscillator.make_spec(
            data={"features": features, "targets": targets},
            model=PATH | {"inputs": "raw"},
        )


def test_compensation_refuses_a_map_with_steps():
    with pytest.raises(InputError, match=r"expected a run with model.linear_path = 'none'"):
        model_map.check(oscillator.make_spec(model=PATH))
