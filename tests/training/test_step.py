"""One update: what it learns from, what augmentation does, and that it repeats bit for bit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oscillator
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcorr.models.normalize import Scale, Scales
from jaxcorr.spec import Loss
from jaxcorr.training import devices, step
from jaxcorr.training import step as update
from jaxcorr.training.optimizer import make_optimizer

WINDOW, WINDOWS, STEPS = 12, 8, 20
STEADY = {"schedule": "constant", "learning_rate": 0.02}
SCALES = Scales(
    Scale(np.zeros(6, np.float32), np.full(6, 20, np.float32)),
    Scale(np.zeros(2, np.float32), np.full(2, 0.1, np.float32)),
    np.ones(2, np.float32),
)


def make_spec(**sections):
    sections["model"] = {"dropout": 0.0, "num_layers": 1} | sections.get("model", {})
    sections["optimizer"] = STEADY | sections.get("optimizer", {})
    return oscillator.make_spec(**sections)


@pytest.fixture(scope="module")
def batches():
    """STEPS batches of WINDOWS windows, time-major."""
    columns = oscillator.make_layer(np.random.default_rng(0), STEPS * WINDOWS * WINDOW)
    names = (("x_ref", "y_ref", "vx_ref", "vy_ref"), ("error_x", "error_y"))
    tables = (np.stack([columns[n] for n in group], axis=-1).astype(np.float32) for group in names)
    return tuple(t.reshape(STEPS, WINDOWS, WINDOW, -1).swapaxes(1, 2) for t in tables)


@functools.cache
def dispatch_fn(spec, mesh, most_on_cpu):
    del most_on_cpu  # as devices.MOST_ON_CPU is
    optimizer = make_optimizer(spec.optimizer, total_updates=1000, updates_per_epoch=10)
    step = update.make_train_step(update.make_loss_fn(spec, SCALES), optimizer, mesh)
    return update.make_dispatch(step, spec.train.seed, mesh)


@functools.cache
def loss_fn(spec):
    return jax.jit(update.make_loss_fn(spec, SCALES))


@functools.cache
def begun(spec):
    return jax.tree.map(np.asarray, update.initialize(spec, num_inputs=6))


def run(spec, batches, mesh=None):
    """The state and the metrics after all batches."""
    state = devices.copy_to_all(mesh, jax.tree.map(jnp.array, begun(spec)))
    dealt = [devices.deal(mesh, part) for part in batches]
    return dispatch_fn(spec, mesh, devices.MOST_ON_CPU)(state, *dealt)


def loss_of(spec, batch, network=None, key=0):
    keys = jax.random.split(jax.random.key(key), WINDOWS)
    values = loss_fn(spec)(network or begun(spec).network, batch, keys)
    return [float(value) for value in values]


def test_loss_goes_down_and_the_totals_add_up(batches):
    repeated = tuple(np.repeat(part[:1], STEPS, axis=0) for part in batches)
    state, metrics = run(make_spec(), repeated)
    assert metrics.loss[-1] < 0.7 * metrics.loss[0]
    assert metrics.mae_mm[-1] < 0.8 * metrics.mae_mm[0]
    assert int(state.step) == STEPS
    for total, values in zip(state.totals, metrics, strict=True):
        assert float(total) == pytest.approx(float(np.sum(values)), rel=1e-5)
    assert float(metrics.weight_norm[-1]) == pytest.approx(
        float(optax.tree.norm(state.network)), rel=1e-6
    )


def test_same_seed_is_the_same_bit_for_bit_and_another_is_not(batches):
    noisy = {"model": {"dropout": 0.3}, "data": {"augment": {"input_noise": 0.1}}}
    first, second = run(make_spec(**noisy), batches), run(make_spec(**noisy), batches)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    other = run(make_spec(**noisy, train={"seed": 1}), batches)
    assert np.all(np.asarray(other[1].loss) != np.asarray(first[1].loss))


def test_each_step_has_a_key_of_its_own(batches):
    still = make_spec(model={"dropout": 0.5}, optimizer={"learning_rate": 1e-12})
    repeated = tuple(np.repeat(part[:1], STEPS, axis=0) for part in batches)
    assert len(set(np.asarray(run(still, repeated)[1].loss).tolist())) == STEPS


def test_supervision_says_which_steps_count(batches):
    features, targets = (part[0] for part in batches)
    spoiled = np.array(targets)
    spoiled[:-1] += 1.0
    for supervision, is_same in (("last", True), ("all", False)):
        spec = make_spec(data={"supervision": supervision})
        same = loss_of(spec, (features, targets)) == loss_of(spec, (features, spoiled))
        assert same == is_same
    last = make_spec(data={"supervision": "last"})
    assert loss_of(last, (features, targets)) != loss_of(make_spec(), (features, targets))


def test_mae_is_in_millimetres_and_the_loss_is_not(batches):
    spec = make_spec(loss={"name": "mae"})
    loss, mae_mm = loss_of(spec, (batches[0][0], batches[1][0]))
    assert mae_mm == pytest.approx(0.1 * loss, rel=1e-5)


def test_accumulation_equals_the_large_batch(batches):
    every = 4
    small, large = make_spec(optimizer={"accumulation_steps": every}), make_spec()
    joined = tuple(
        np.stack([np.concatenate(part[i : i + every], axis=1) for i in range(0, STEPS, every)])
        for part in batches
    )
    one, _ = run(small, batches)
    other, _ = run(large, joined)
    start = begun(small).network
    moved = jax.tree.map(lambda a, b: float(np.max(np.abs(a - b))), one.network, start)
    differ = jax.tree.map(lambda a, b: float(np.max(np.abs(a - b))), one.network, other.network)
    # AdamW's first updates divide by tiny gradients, which magnifies rounding.
    assert max(jax.tree.leaves(differ)) < 1e-2 * max(jax.tree.leaves(moved))
    assert int(one.step) == every * int(other.step)


def test_portions_change_no_more_than_the_rounding(batches, monkeypatch):
    lively = {"augment": {"input_noise": 0.1, "target_scale": 0.2}, "batch_size": 4 * WINDOWS}
    spec = make_spec(data=lively, model={"dropout": 0.3}, train={"num_devices": 2})
    joined = tuple(np.concatenate(part[:4], axis=1)[None] for part in batches)
    monkeypatch.setattr(devices, "MOST_ON_CPU", 0)
    _, expected = run(spec, joined)
    monkeypatch.setattr(devices, "MOST_ON_CPU", WINDOWS)
    for mesh in (None, devices.make_mesh(spec)):
        _, metrics = run(spec, joined, mesh)
        for found, value in zip(metrics, expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-5)


def test_bfloat16_keeps_parameters_optimizer_and_loss_in_float32(batches):
    exact, _ = run(make_spec(), batches)
    half, metrics = run(make_spec(train={"precision": "bfloat16"}), batches)
    floats = [leaf for leaf in jax.tree.leaves((half, metrics)) if leaf.dtype != jnp.int32]
    assert {leaf.dtype for leaf in floats} == {jnp.dtype("float32")}
    assert float(half.totals.loss) == pytest.approx(float(exact.totals.loss), rel=0.02)
    assert float(half.totals.loss) != float(exact.totals.loss)


def test_noise_has_the_given_deviation_in_units_of_the_inputs_own():
    inputs = jnp.ones((50, 200, 6))
    keys = jax.random.split(jax.random.key(0), 200)
    noise = update.add_noise(inputs, 0.3, keys) - inputs
    assert float(noise.std()) == pytest.approx(0.3, rel=0.02)
    assert abs(float(noise.mean())) < 0.01
    assert update.add_noise(inputs, 0.0, keys) is inputs


def test_each_window_gets_a_target_scale_of_its_own():
    targets = jnp.ones((5, 2000, 2))
    keys = jax.random.split(jax.random.key(0), 2000)
    scaled = np.asarray(update.scale_targets(targets, 0.2, keys))
    np.testing.assert_array_equal(scaled, np.broadcast_to(scaled[:1, :, :1], scaled.shape))
    factors = scaled[0, :, 0]
    assert factors.min() == pytest.approx(0.8, abs=0.01)
    assert factors.max() == pytest.approx(1.2, abs=0.01)
    assert factors.mean() == pytest.approx(1.0, abs=0.01)
    assert update.scale_targets(targets, 0.0, keys) is targets


@pytest.mark.parametrize("augment", [{"input_noise": 0.5}, {"target_scale": 0.5}])
def test_augmentation_reaches_the_loss_anew_for_each_key(batches, augment):
    batch = (batches[0][0], batches[1][0])
    spec = make_spec(data={"augment": augment})
    plain, first, second = (
        loss_of(make_spec(), batch),
        loss_of(spec, batch),
        loss_of(spec, batch, key=1),
    )
    assert len({plain[0], first[0], second[0]}) == 3


def test_updates_are_counted_after_accumulation():
    spec = make_spec(optimizer={"accumulation_steps": 4}, train={"epochs": 3})
    assert update.count_updates(spec, steps_per_epoch=10) == (8, 2)


TRUE = jnp.array([[0.0, 1.0], [2.0, 3.0]])
PREDICTED = jnp.array([[0.0, 3.0], [2.0, 2.0]])  # residuals 0, 2, 0, -1


@pytest.mark.parametrize(("name", "value"), [("mae", 3 / 4), ("mse", 5 / 4)])
def test_four_residuals_by_hand(name, value):
    assert step.loss_of(Loss(name=name), PREDICTED, TRUE) == value


@given(st.floats(0, 1))
def test_hybrid_mixes_by_its_ratio(ratio):
    value = step.loss_of(Loss(name="hybrid", mae_ratio=ratio), PREDICTED, TRUE)
    assert value == pytest.approx(ratio * 3 / 4 + (1 - ratio) * 5 / 4, rel=1e-6)


@pytest.mark.parametrize("name", ["mae", "mse", "hybrid"])
def test_a_small_step_down_the_gradient_lowers_the_loss(name):
    loss = Loss(name=name)
    value, gradient = jax.value_and_grad(lambda p: step.loss_of(loss, p, TRUE))(PREDICTED)
    wrong = np.asarray(PREDICTED != TRUE)
    np.testing.assert_array_equal(np.sign(gradient)[wrong], np.sign(PREDICTED - TRUE)[wrong])
    assert step.loss_of(loss, PREDICTED - 0.1 * gradient * wrong, TRUE) < value
    assert step.loss_of(loss, TRUE, TRUE) == 0
