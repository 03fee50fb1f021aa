"""Functions taken apart and computed by products: the same values, in few operators."""

import elastic
import jax
import jax.numpy as jnp
import numpy as np
import oscillator
import pytest

from jaxcorr.export import onnx, products
from jaxcorr.models import network, normalize, plant_path
from jaxcorr.models.network import PATH, Weights

MIX = np.array([[0.9, 0.1, 0.0], [0.0, 0.5, 0.2], [0.3, 0.0, 0.7]], np.float32)
ONE = normalize.Scale(np.zeros(1, np.float32), np.ones(1, np.float32))


def stream(prepare_fn, spec, weights):
    """What a stream of the tests' motion is prepared to, sample by sample."""
    position, velocity, _ = elastic.motion()
    samples = np.concatenate([position, velocity], axis=1)[:80].astype(np.float32)

    def step(carry, sample):
        made = prepare_fn(spec, weights, carry, sample)
        after = carry._replace(previous=sample, is_started=carry.is_started * 0 + 1)
        return after._replace(path=made.memory), (made.inputs, made.said)

    return jax.lax.scan(step, network.carry_for(spec, 1), samples[:, None])[1]


@pytest.mark.parametrize(
    ("plant", "friction", "horizon"),
    [(elastic.PLANT, 0.0, 0), (elastic.PLANT, 3.0, -2), (elastic.COREXY, 1.0, 2)],
)
def test_a_folded_preparation_is_the_model_s(plant, friction, horizon):
    spec = oscillator.make_spec(model={"path": "plant"}, data={"horizon": horizon})
    axes = elastic.axes_of(plant)
    axes = axes._replace(friction_mm=axes.friction_mm * friction)
    path = plant_path.from_axes(axes, elastic.RATE_HZ)
    weights = Weights({PATH: path}, ONE, ONE, np.ones(2, np.float32))
    expected, found = (
        stream(of, spec, weights) for of in (network.prepare, onnx.fold_preparation(spec, weights))
    )
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6)
    assert np.std(expected[1]) > 1e-3


def test_a_recurrence_takes_a_product_for_what_it_reads_and_one_for_what_it_adds():
    def run(state, given):
        for shift in range(6):
            state = state + 0.1 * jnp.tanh(state @ MIX + given * shift - 1.0)
        return state * 2.0, jnp.where(given[:, :1] > 0, state, 0.0)

    folded = products.fold(run, [3, 3], {})
    state, given = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    for found, expected in zip(folded(state, given), run(state, given), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    primitives = [eqn.primitive.name for eqn in jax.make_jaxpr(folded)(state, given).eqns]
    assert primitives.count("tanh") == 6
    assert primitives.count("dot_general") <= 2 * 6 + 6


def test_what_it_does_not_know_is_named():
    with pytest.raises(NotImplementedError, match="cumsum"):
        products.fold(lambda row: jnp.cumsum(jnp.tanh(row), axis=1), [3], {})
