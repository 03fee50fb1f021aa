"""The linear path: the same bins as the table's, the same errors, sample by sample or at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr.models import baselines, linear_path

NUM_TARGETS = 2


def moves(seed=0, num_samples=400):
    """Random motion, and every second sample where rounding could choose: round speeds on axes."""
    rng = np.random.default_rng(seed)
    v = np.cumsum(rng.normal(0, 5, (num_samples, 2)), axis=0)
    speeds = rng.choice([0, 0.05, 0.1, 1, 5, 10, 15, 30, 60, 100, 120], num_samples // 2)
    angle = rng.integers(0, 16, num_samples // 2) * np.pi / 8
    v[::2] = speeds[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return v.astype(np.float32)


def draw_coefficients(seed=1):
    num_rows = baselines.binned_design(np.zeros((1, 2))).shape[1]
    return np.random.default_rng(seed).normal(0, 1e-3, (num_rows, NUM_TARGETS))


def run(path, v, pending=None, before=None):
    pending = linear_path.initialize(1, NUM_TARGETS) if pending is None else pending
    before = jnp.zeros((1, 2)) if before is None else before
    pending, errors = jax.jit(linear_path.advance)(path, pending, v[:, None], before)
    return pending, np.asarray(errors)[:, 0]


def test_every_bin_is_the_tables_also_at_round_speeds_and_directions():
    v = moves()
    before = np.concatenate([np.zeros((1, 2), np.float32), v[:-1]])
    found = np.asarray(linear_path.derive_regressors(v, before))
    num_taps = baselines.NUM_LAGS * linear_path.NUM_VELOCITIES
    design = baselines.binned_design(v.astype(np.float64))[:, num_taps + 1 :]
    expected = np.column_stack([v, design[:, : linear_path.NUM_BINNED]])
    assert found.shape[1] == linear_path.NUM_REGRESSORS
    np.testing.assert_array_equal(found != 0, expected != 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    sectors = found[:, 2 : 3 + linear_path.NUM_SECTORS]
    np.testing.assert_array_equal(sectors.sum(axis=1), 1)
    assert sectors.any(axis=0).all()


@pytest.mark.parametrize("nudge", [-2e-6, 2e-6])
def test_rounding_of_a_round_speed_changes_no_bin(nudge):
    speeds = np.array([1, 2, 5, 10, 12, 15, 20, 30, 40, 60, 80, 100])[:, None]
    for direction in ([1, 0], [0, -1], [-np.sqrt(0.5), np.sqrt(0.5)]):
        exact = speeds * np.array([direction])
        nudged = exact * (1 + nudge) + np.array([nudge, -nudge])
        found = [
            np.asarray(linear_path.derive_regressors(v.astype(np.float32), np.zeros_like(v)))
            for v in (exact.astype(np.float32), nudged.astype(np.float32))
        ]
        num_bins = linear_path.NUM_SECTORS + 1 + 2 * linear_path.NUM_BANDS
        one, other = (rows[:, 2 : 2 + num_bins] for rows in found)
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one.sum(axis=1), 2)  # a sector and a band


def test_the_stream_is_the_regression_on_the_table():
    coefficients, v = draw_coefficients(), moves()
    path = linear_path.from_coefficients(coefficients)
    expected = baselines.apply_binned(coefficients, v.astype(np.float64))
    np.testing.assert_allclose(run(path, v)[1], expected, atol=1e-6)
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(linear_path.to_coefficients(path), coefficients, rtol=1e-6)


def test_a_stream_may_be_cut_anywhere_and_forgets_nothing_before_it_should():
    path, v = linear_path.from_coefficients(draw_coefficients()), moves(num_samples=60)
    last, whole = run(path, v)
    for cut in (1, 7, 30):
        pending, first = run(path, v[:cut])
        pending, second = run(path, v[cut:], pending, v[cut - 1][None])
        np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-6)
        np.testing.assert_allclose(pending, last, atol=1e-6)
    changed = v.copy()
    changed[10] += 3
    differs = np.abs(run(path, changed)[1] - whole).max(axis=1) > 1e-6
    assert np.flatnonzero(differs).tolist() == list(range(10, 10 + baselines.NUM_LAGS))


def test_a_blank_path_predicts_zero():
    _, errors = run(linear_path.blank(NUM_TARGETS), moves())
    np.testing.assert_array_equal(errors, 0)
