"""The smooth path: the same errors sample by sample or at once, and bounded at unseen speeds."""

import jax
import numpy as np
import pytest

from jaxcorr.models import smooth_path

RATE_HZ = 100.0
NUM_LAGS = 20


def moves(num_axes=2, num_samples=60, seed=0):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(0, 5, (num_samples, num_axes)), axis=0).astype(np.float32)


def draw(num_axes=2, rate_hz=RATE_HZ):
    rng = np.random.default_rng(1)
    blank = smooth_path.blank(num_axes, rate_hz)
    drawn = rng.normal(0, 1e-3, blank["response"].shape).astype(np.float32)
    scales = rng.uniform(0.5, 20, blank["scale_mm_s"].shape).astype(np.float32)
    offset = np.linspace(0.01, 0.02, num_axes, dtype=np.float32)
    most = np.full(num_axes, 40, np.float32)
    return blank | {
        "response": drawn,
        "scale_mm_s": scales,
        "offset_mm": offset,
        "most_mm_s": most,
    }


def run(path, v, pending=None, rate_hz=RATE_HZ):
    pending = smooth_path.initialize(1, v.shape[1], rate_hz) if pending is None else pending
    pending, errors = jax.jit(smooth_path.advance)(path, pending, v[:, None])
    return pending, np.asarray(errors)[:, 0]


@pytest.mark.parametrize(("num_axes", "rate_hz"), [(1, 20.0), (2, 100.0), (3, 100.0)])
def test_the_stream_is_the_sum_of_the_responses(num_axes, rate_hz):
    path, v = draw(num_axes, rate_hz), moves(num_axes)
    regressors = smooth_path.derive_regressors(path, v.astype(np.float64), np)
    response = path["response"]
    assert regressors.shape == (len(v), num_axes, len(response))
    expected = np.tile(path["offset_mm"].astype(np.float64), (len(v), 1))
    for lag in range(response.shape[1]):
        share = np.einsum("tar,ra->ta", regressors, response[:, lag])
        expected[lag:] += share[: len(v) - lag]
    np.testing.assert_allclose(run(path, v, rate_hz=rate_hz)[1], expected, atol=1e-6)
    assert np.std(expected) > 0.01


def test_a_stream_may_be_cut_anywhere_and_forgets_nothing_before_it_should():
    path, v = draw(), moves()
    last, whole = run(path, v)
    for cut in (1, 7, 30):
        pending, first = run(path, v[:cut])
        pending, second = run(path, v[cut:], pending)
        np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-6)
        np.testing.assert_allclose(pending, last, atol=1e-6)
    changed = v.copy()
    changed[10] += 3
    differs = np.abs(run(path, changed)[1] - whole).max(axis=1) > 1e-6
    assert np.flatnonzero(differs).tolist() == list(range(10, 10 + NUM_LAGS))


def test_all_that_counts_is_bounded_and_has_a_slope_at_rest():
    path = draw() | {"most_mm_s": np.array([50.0, 80.0], np.float32)}
    huge = smooth_path.derive_regressors(path, np.array([[1e6, -1e6]]), np)
    assert huge[0, :, 0].tolist() == [50.0, -80.0]
    assert np.abs(huge[..., 1:]).max() <= 1.0
    slopes = jax.jacobian(lambda v: smooth_path.derive_regressors(path, v, jax.numpy))(np.zeros(2))
    assert np.isfinite(slopes).all()
    assert np.abs(slopes[:, : smooth_path.NUM_RINGING + 1]).max() > 0.04


def test_a_blank_path_predicts_zero():
    _, errors = run(smooth_path.blank(2, RATE_HZ), moves())
    np.testing.assert_array_equal(errors, 0)
