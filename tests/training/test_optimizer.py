"""Schedules in closed form, AdamW by hand, and accumulation against the large batch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcorr.spec import Optimizer
from jaxcorr.training.optimizer import check_memory_error, learning_rate_fn, make_optimizer

STEPS = np.arange(201)  # of one shape, so that schedules are compiled once
PARAMS = {"kernel": jnp.array([[1.0, -2.0], [3.0, 4.0]]), "bias": jnp.array([5.0, -6.0])}


def cosine(peak, final, share):
    return final + (peak - final) * (1 + np.cos(np.pi * share)) / 2


def update(optimizer, gradients, params=PARAMS):
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    return params


def test_constant_is_constant():
    rate = learning_rate_fn(Optimizer(schedule="constant", learning_rate=0.25), 100, 10)
    assert {float(rate(step)) for step in (0, 1, 99, 10**6)} == {0.25}


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.999])
def test_warmup_rises_linearly_then_falls_along_a_cosine(fraction):
    spec = Optimizer(learning_rate=0.5, warmup_fraction=fraction, final_fraction=0.1)
    rate = jax.vmap(learning_rate_fn(spec, 200, 10))
    warmup = round(200 * fraction)
    rising = 0.5 * STEPS / max(warmup, 1)
    falling = cosine(0.5, 0.05, (STEPS - warmup) / max(200 - warmup, 1))
    expected = np.where(warmup > STEPS, rising, falling)
    np.testing.assert_allclose(rate(STEPS), expected, atol=1e-6)
    np.testing.assert_allclose(rate(STEPS + 500)[:1], 0.05, atol=1e-6)


def test_restarts_return_to_the_peak_and_each_cycle_is_longer():
    spec = Optimizer(
        learning_rate=0.5, schedule="cosine_restarts", restart_epochs=2, final_fraction=0.0
    )
    rates = np.asarray(jax.vmap(learning_rate_fn(spec, 7 * 2 * 5, 5))(STEPS))
    begins, lengths = (0, 10, 30), (10, 20, 40)  # 2 epochs of 5 updates, then doubled
    for begin, length in zip(begins, lengths, strict=True):
        expected = cosine(0.5, 0.0, np.arange(length) / length)
        np.testing.assert_allclose(rates[begin : begin + length], expected, atol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "warmup_cosine", "cosine_restarts"])
@pytest.mark.parametrize(("epochs", "per_epoch"), [(1, 1), (13, 7)])
def test_every_schedule_stays_between_zero_and_its_peak(schedule, epochs, per_epoch):
    spec = Optimizer(schedule=schedule, restart_epochs=5)
    rate = learning_rate_fn(spec, epochs * per_epoch, per_epoch)
    rates = np.asarray(jax.vmap(rate)(STEPS))[: epochs * per_epoch]
    assert np.all((rates >= 0) & (rates <= np.float32(spec.learning_rate)))


def test_decay_shrinks_matrices_and_leaves_biases_and_scales_alone():
    spec = Optimizer(learning_rate=0.1, weight_decay=0.5, schedule="constant")
    after = update(make_optimizer(spec, 1, 1), [jax.tree.map(jnp.zeros_like, PARAMS)])
    np.testing.assert_allclose(after["kernel"], PARAMS["kernel"] * (1 - 0.1 * 0.5), rtol=1e-6)
    np.testing.assert_array_equal(after["bias"], PARAMS["bias"])


def test_the_first_step_is_adams():
    spec = Optimizer(learning_rate=0.1, weight_decay=0.0, schedule="constant", clip_norm=0.0)
    gradient = jax.tree.map(lambda leaf: 100 * leaf, PARAMS)
    after = update(make_optimizer(spec, 1, 1), [gradient])
    for name, leaf in PARAMS.items():  # Adam's first step has the size of the rate, whatever g is
        np.testing.assert_allclose(after[name], leaf - 0.1 * np.sign(leaf), rtol=1e-5)


@pytest.mark.parametrize(("clip_norm", "is_clipped"), [(1.0, True), (1e6, False), (0.0, False)])
def test_clipping_takes_only_what_is_too_long(clip_norm, is_clipped):
    spec = Optimizer(schedule="constant", clip_norm=clip_norm, weight_decay=0.0)
    large, small = (jax.tree.map(lambda leaf, k=k: k * leaf, PARAMS) for k in (100.0, 0.001))
    norm = optax.tree.norm(large)
    first = jax.tree.map(lambda leaf: leaf / norm, large) if is_clipped else large
    plain = make_optimizer(spec.model_copy(update={"clip_norm": 0.0}), 2, 1)
    expected = update(plain, [first, small])
    after = update(make_optimizer(spec, 2, 1), [large, small])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), after, expected)


@pytest.mark.parametrize("every", [3])
def test_accumulation_equals_the_large_batch(every):
    rng = np.random.default_rng(every)
    batches = [
        jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), PARAMS)
        for _ in range(2 * every)
    ]
    means = [jax.tree.map(lambda *g: sum(g) / every, *batches[i : i + every]) for i in (0, every)]
    spec = Optimizer(warmup_fraction=0.0)
    large = update(make_optimizer(spec, 2, 1), means)
    spec = spec.model_copy(update={"accumulation_steps": every})
    small = update(make_optimizer(spec, 2, 1), batches)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), large, small)


def test_between_two_updates_nothing_moves():
    spec = Optimizer(accumulation_steps=3)
    after = update(make_optimizer(spec, 2, 1), [PARAMS, PARAMS])
    jax.tree.map(np.testing.assert_array_equal, after, PARAMS)


def test_only_a_full_device_is_called_so():
    full = RuntimeError("RESOURCE_EXHAUSTED: out of memory allocating 9 bytes")
    found = check_memory_error(full, 64)
    assert "got 64 windows and no memory left. Halve data.batch_size" in str(found)
    assert check_memory_error(RuntimeError("INTERNAL: else"), 64) is None
