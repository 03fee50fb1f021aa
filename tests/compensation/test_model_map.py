"""A run's model as a map: predictions for commands, its impulse response, and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oscillator import RATE_HZ, make_spec, reference, true_error

from jaxcorr.compensation import model_map, solver
from jaxcorr.compensation.model_map import INPUTS, OUTPUTS, ModelMap
from jaxcorr.data import dataset
from jaxcorr.errors import InputError
from jaxcorr.models import bulk, network
from jaxcorr.printer import correction_curve
from jaxcorr.training import restore


@pytest.fixture(scope="module")
def loaded(trained):
    return restore.load_weights(trained.run)


@pytest.fixture(scope="module")
def model(loaded):
    return ModelMap(loaded)


def test_without_a_correction_the_error_is_the_prediction(trained, loaded, model):
    samples = dataset.load_all(loaded.spec.data, trained.spec.data.traces)
    predicted = bulk.stream(loaded.spec, loaded.weights, samples)
    first, rows = int(samples.first_row[1]), int(samples.num_rows[1])
    path = np.asarray(samples.features[first : first + rows], np.float64)
    error = model.error_fn(path)(np.zeros((rows, 2)))
    np.testing.assert_allclose(error, predicted[first : first + rows], atol=1e-6)


def test_layers_longer_than_a_call_are_carried_on(loaded, model):
    path = reference(2 * model_map.CHUNK + 77)
    whole = network.unroll(
        loaded.spec, loaded.weights, network.carry_for(loaded.spec, 1), jnp.asarray(path)[:, None]
    )
    np.testing.assert_allclose(model.lag(path), whole[1][:, 0], atol=1e-6)


def test_a_knot_moves_position_and_velocity_of_the_command(model):
    path, knots = reference(60), np.zeros((60, 2))
    knots[20] = [0.1, -0.2]
    command = path.copy()
    command[20, :2] += knots[20]
    command[19, 2:] += knots[20] * RATE_HZ / 2
    command[21, 2:] -= knots[20] * RATE_HZ / 2
    np.testing.assert_allclose(model.error_fn(path)(knots), knots + model.lag(command), atol=1e-9)


def test_the_response_is_the_mean_change_by_a_small_knot(loaded, model):
    lines = model_map._draw_slides(loaded.spec, loaded.weights).astype(np.float64)
    length = lines.shape[0]
    begin = model_map.warm_up(loaded.spec)
    at_knot = begin + model_map.LEAD
    taps = model.response.taps
    for axis in range(2):
        knots = np.zeros((length, 2))
        knots[at_knot, axis] = 0.02
        changes = []
        for slide in range(lines.shape[1]):
            error_fn = model.error_fn(lines[:, slide])
            changes.append((error_fn(knots) - error_fn(-knots))[begin:, axis] / 0.04)
        np.testing.assert_allclose(np.mean(changes, axis=0)[: len(taps)], taps[:, axis], atol=0.03)


def test_the_gradient_by_the_knots_agrees_with_finite_differences(loaded):
    path = jnp.asarray(reference(60))
    rng = np.random.default_rng(0)
    start, direction = (jnp.asarray(rng.normal(size=(60, 2))) for _ in range(2))

    def cost(knots):
        moved = jnp.concatenate([knots, correction_curve.slopes(knots, RATE_HZ)], axis=-1)
        carry = network.carry_for(loaded.spec, 1)
        lag = network.unroll(loaded.spec, loaded.weights, carry, (path + moved)[:, None])[1][:, 0]
        return jnp.sum((knots + lag) ** 2)

    cost_fn = jax.jit(cost)
    by_gradient = jnp.sum(jax.jit(jax.grad(cost))(0.05 * start) * direction)
    step = 1e-3
    ends = (cost_fn(0.05 * start + sign * step * direction) for sign in (1, -1))
    by_difference = np.subtract(*ends) / (2 * step)
    assert float(by_gradient) == pytest.approx(float(by_difference), rel=0.02)


def test_a_learned_map_is_inverted_and_the_toy_printer_follows_better(model):
    """The toy printer is known in closed form; its model has seen no corrections, only paths."""
    path = reference(300)
    error_fn = model.error_fn(path)
    found = solver.solve(error_fn, model.response, 300, RATE_HZ, model.options)
    assert found.rms_mm[-1] < 0.5 * found.rms_mm[0]
    assert found.outcome in ("converged", "too few steps")
    assert true_error(path, found.knots) < 0.8 * true_error(path, np.zeros((300, 2)))


def test_a_network_alone_gets_smoother_knots_than_the_plant(loaded, model):
    """It is least right about knots that turn sharply from one to the next."""
    assert loaded.spec.model.path == "none"
    assert model.options == solver.DEFAULT._replace(effort=model_map.EFFORTS["none"])
    path = reference(300)
    turns = {}
    for name, effort in model_map.EFFORTS.items():
        options = solver.DEFAULT._replace(effort=effort)
        found = solver.solve(model.error_fn(path), model.response, 300, RATE_HZ, options)
        turns[name] = np.sum(np.diff(found.knots, 2, axis=0) ** 2)
    assert turns["none"] < turns["plant"]


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ("x_ref", "vx_ref", "y_ref", "vy_ref")},
        {"horizon": 1},
        {"targets": ("error_y", "error_x")},
    ],
)
def test_other_maps_are_refused(changes):
    spec = make_spec()
    changed = spec.model_copy(update={"data": spec.data.model_copy(update=changes)})
    with pytest.raises(InputError, match=r"^compensate: expected a run with features x_cmd"):
        model_map.check(changed)


def test_commands_and_references_are_both_known():
    spec = make_spec()
    for features, targets in zip(INPUTS, OUTPUTS, strict=True):
        data = spec.data.model_copy(update={"features": features, "targets": targets})
        model_map.check(spec.model_copy(update={"data": data}))
