"""Scaling: what it promises of the data it was fitted to, and that it can be undone."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcorr.models import normalize

SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.floats(1e-4, 1e3)


def columns(seed, scale, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(200, 3)) * scale + [0.0, 10 * scale, -scale]).astype(dtype)


@given(SEEDS, SCALES)
def test_fitted_columns_have_zero_mean_and_unit_variance(seed, scale):
    values = columns(seed, scale)
    scaled = normalize.apply(normalize.fit(values), values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-5)


@given(SEEDS, SCALES)
def test_invert_undoes_apply(seed, scale):
    values = columns(seed, scale)
    fitted = normalize.fit(values)
    back = normalize.invert(fitted, normalize.apply(fitted, values))
    np.testing.assert_allclose(back, values, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e5, 1e-30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_column_is_moved_to_zero_and_not_blown_up(value, dtype):
    fitted = normalize.fit(np.full((10_000, 1), value, dtype))
    assert fitted.std == 1.0
    assert abs(normalize.apply(fitted, np.float32(value))) <= 1e-30


def test_a_small_column_is_not_taken_for_a_constant():
    tiny = 1e-6 * np.sin(np.arange(1000))[:, None]
    assert normalize.fit(tiny).std == pytest.approx(tiny.std(), rel=1e-6)


def test_numpy_and_jax_arrays_of_any_rank_agree():
    values = columns(0, 1.0)
    fitted = normalize.fit(values)
    deep = values.reshape(4, 50, 3)
    for fn in (normalize.apply, normalize.invert):
        np.testing.assert_allclose(fn(fitted, jnp.asarray(deep)), fn(fitted, deep), rtol=1e-6)
        np.testing.assert_array_equal(fn(fitted, deep).reshape(-1, 3), fn(fitted, values))
