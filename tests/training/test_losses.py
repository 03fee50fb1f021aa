"""Losses by hand, and the hybrid as the mix it is named for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcorr.spec import Loss
from jaxcorr.training import losses

TRUE = jnp.array([[0.0, 1.0], [2.0, 3.0]])
PREDICTED = jnp.array([[0.0, 3.0], [2.0, 2.0]])  # residuals 0, 2, 0, -1


@pytest.mark.parametrize(("name", "value"), [("mae", 3 / 4), ("mse", 5 / 4)])
def test_four_residuals_by_hand(name, value):
    assert losses.compute(Loss(name=name), PREDICTED, TRUE) == value


@given(st.floats(0, 1))
def test_hybrid_mixes_by_its_ratio(ratio):
    value = losses.compute(Loss(name="hybrid", mae_ratio=ratio), PREDICTED, TRUE)
    assert value == pytest.approx(ratio * 3 / 4 + (1 - ratio) * 5 / 4, rel=1e-6)


@pytest.mark.parametrize("name", ["mae", "mse", "hybrid"])
def test_a_small_step_down_the_gradient_lowers_the_loss(name):
    loss = Loss(name=name)
    value, gradient = jax.value_and_grad(lambda p: losses.compute(loss, p, TRUE))(PREDICTED)
    wrong = np.asarray(PREDICTED != TRUE)
    np.testing.assert_array_equal(np.sign(gradient)[wrong], np.sign(PREDICTED - TRUE)[wrong])
    assert losses.compute(loss, PREDICTED - 0.1 * gradient * wrong, TRUE) < value
    assert losses.compute(loss, TRUE, TRUE) == 0
