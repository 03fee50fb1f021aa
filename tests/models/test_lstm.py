"""The LSTM recurrence: its two forms agree, and both agree with Flax's own cell."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr.models import lstm

STEPS, BATCH, SIZE = 7, 3, 6

run_plain = jax.jit(lstm.scan, static_argnums=0)


@pytest.fixture
def problem():
    keys = jax.random.split(jax.random.key(0), 4)
    projected = jax.random.normal(keys[0], (STEPS, BATCH, 4 * SIZE))
    kernel = 0.5 * jax.random.normal(keys[1], (SIZE, 4 * SIZE))
    carry = tuple(0.5 * jax.random.normal(key, (BATCH, SIZE)) for key in keys[2:])
    return projected, kernel, carry


def score_fn(run, dtype):
    """A scalar of all outputs and of the last carry, with weights that tell them apart."""

    def score(projected, kernel, carry):
        (c, h), outputs = run(dtype, projected, kernel, carry)
        parts = [c, h, *outputs]
        return sum(jnp.sum(jnp.sin(i + part)) for i, part in enumerate(parts))

    return jax.jit(jax.value_and_grad(score, argnums=(0, 1, 2)))


def largest_difference(tree, other):
    differences = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b)), tree, other)
    return max(map(float, jax.tree.leaves(differences)))


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 0.05)])
def test_reverse_form_has_the_values_and_gradients_of_the_plain_one(problem, dtype, tolerance):
    plain, plain_gradient = score_fn(lstm.scan, dtype)(*problem)
    fast, fast_gradient = score_fn(lstm.scan_reverse, dtype)(*problem)
    assert float(fast) == pytest.approx(float(plain), abs=tolerance)
    assert largest_difference(fast_gradient, plain_gradient) < tolerance
    assert min(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(plain_gradient)) > 0.1


def test_bfloat16_rounds_the_matmul_but_not_the_state(problem):
    exact = run_plain(jnp.float32, *problem)
    rounded = run_plain(jnp.bfloat16, *problem)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(rounded))
    assert 1e-4 < largest_difference(exact, rounded) < 0.05


def test_one_step_is_the_first_of_many(problem):
    projected, kernel, carry = problem
    _, outputs = run_plain(jnp.float32, projected, kernel, carry)
    (_, h), first = run_plain(jnp.float32, projected[:1], kernel, carry)
    np.testing.assert_allclose(first[0], outputs[0], atol=1e-6)
    np.testing.assert_array_equal(h, first[0])


def test_agrees_with_the_cell_of_flax(problem):
    inputs = jax.random.normal(jax.random.key(1), (STEPS, BATCH, 5))
    flax_cell = nn.OptimizedLSTMCell(SIZE)
    carry = problem[2]
    params = flax_cell.init(jax.random.key(2), carry, inputs[0])["params"]
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)  # biases that count
    expected = []
    state = carry
    run_cell = jax.jit(flax_cell.apply)
    for sample in inputs:
        state, h = run_cell({"params": params}, state, sample)
        expected.append(h)
    kernel, bias, recurrent_kernel = (
        jnp.concatenate([params[f"{side}{gate}"][name] for gate in "ifgo"], axis=-1)
        for side, name in (("i", "kernel"), ("h", "bias"), ("h", "kernel"))
    )
    last, outputs = run_plain(jnp.float32, inputs @ kernel + bias, recurrent_kernel, carry)
    np.testing.assert_allclose(outputs, jnp.stack(expected), atol=1e-6)
    assert largest_difference(last, state) < 1e-6
