"""Baselines: known systems recovered exactly, nothing of the future used, kept and read again."""

import functools

import numpy as np
import pytest

from jaxcorr import metrics
from jaxcorr.data.windows import Samples
from jaxcorr.errors import InputError
from jaxcorr.models import baselines, smooth_fit
from jaxcorr.spec import Data

DATA = Data(traces=("none",))
# Columns that are not known as positions: no plant is fitted, which takes most of the time.
PLAIN = DATA.model_copy(update={"features": ("a", "b", *DATA.features[2:])})
HATS = smooth_fit.velocity_hats(DATA.sample_rate_hz)
NAMES = ("zero", "mean", "linear_fir", "linear_smooth")


def velocities(seed, num_samples):
    """Straight lines at random directions and speeds, with ramps between them."""
    rng = np.random.default_rng(seed)
    lines = rng.normal(scale=40, size=(num_samples // 12 + 2, 2))
    held = np.repeat(lines, 12, axis=0)[:num_samples]
    return np.apply_along_axis(np.convolve, 0, held, np.ones(5) / 5, mode="same")


def table(answer, lengths=(700, 500), seed=0, lead=0):
    """A table whose targets are a function of the velocities."""
    v = [velocities(seed + i, n).astype(np.float32).astype(float) for i, n in enumerate(lengths)]
    features = [np.column_stack([np.cumsum(speed, axis=0) / 100, speed]) for speed in v]
    num_rows = np.array(lengths)
    return Samples(
        features=np.concatenate(features).astype(np.float32),
        targets=np.concatenate([answer(speed) for speed in v]).astype(np.float32),
        first_row=np.cumsum(num_rows) - num_rows,
        num_rows=num_rows,
        lead=lead,
        names=tuple(f"p/{i}" for i in range(len(lengths))),
        parts=("p",) * len(lengths),
    )


def fir_answer(v):
    """Both axes from both velocities over 20 samples, and an offset."""
    gains = np.random.default_rng(7).normal(size=(41, 2)) * 1e-4
    return baselines.fir_design(v, HATS) @ gains


def offset_answer(v):
    return np.zeros_like(v) + np.array([0.03, -0.04])


@functools.cache
def fit(answer, num_samples=3000, data=PLAIN):
    """Fitted on two traces of so many samples; each column is known."""
    train, val = (table(answer, (num_samples, num_samples // 2), seed) for seed in (10, 20))
    return baselines.fit(data, train, val)


def fit_with_plant():
    return fit(fir_answer, 400, DATA)


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        (np.zeros_like, NAMES),
        (offset_answer, NAMES[1:]),
        (fir_answer, ("linear_fir",)),
    ],
)
def test_known_system_is_recovered_exactly(answer, names):
    unseen = table(answer, seed=30)
    predicted = baselines.predict(fit(answer), unseen)
    assert tuple(predicted) == NAMES
    for name in names:
        np.testing.assert_allclose(predicted[name], unseen.targets, atol=1e-6)


def test_nothing_of_the_future_or_of_other_traces_is_used():
    fitted, unseen = fit_with_plant(), table(fir_answer, seed=30)
    before = baselines.predict(fitted, unseen)
    features = unseen.features.copy()
    features[300:700] = 7.0  # from the middle of the first trace on
    after = baselines.predict(fitted, unseen._replace(features=features))
    assert tuple(before) == (*NAMES, "physics")
    for name in before:
        np.testing.assert_array_equal(after[name][:300], before[name][:300])
        np.testing.assert_array_equal(after[name][700:], before[name][700:])


def test_regressors_made_in_blocks_are_those_of_the_whole_trace(monkeypatch):
    v = velocities(0, 500)
    whole = baselines.fir_design(v, HATS)
    monkeypatch.setattr(baselines, "BLOCK", 64)
    np.testing.assert_array_equal(baselines._apply(HATS, np.eye(whole.shape[1]), v), whole)


@pytest.mark.parametrize("rate_hz", [20.0, 100.0, 250.0, 1000.0])
def test_the_regression_looks_back_on_as_many_ms_at_any_rate(rate_hz):
    hats = smooth_fit.velocity_hats(rate_hz)
    assert hats.shape[1] == pytest.approx(1.0 + 0.19 * rate_hz, abs=0.5)
    assert len(hats) <= 27
    np.testing.assert_allclose(hats.sum(axis=0), 1.0)
    v = velocities(0, 500)
    columns = baselines.fir_design(v, hats)
    assert columns.shape == (500, 2 * len(hats) + 1)
    if rate_hz == 100.0:
        for lag in (0, 3, 19):
            np.testing.assert_array_equal(columns[lag:, 2 * lag], v[: 500 - lag, 0])


def test_of_too_many_rows_every_second_is_enough(monkeypatch):
    monkeypatch.setattr(baselines, "MOST_ROWS", 600)
    made, unseen = table(fir_answer), table(fir_answer, seed=30)
    predicted = baselines.predict(baselines.fit(PLAIN, made, made), unseen)
    np.testing.assert_allclose(predicted["linear_fir"], unseen.targets, atol=1e-5)


def test_rows_without_a_target_are_not_learned_from():
    spoiled = table(fir_answer, seed=10, lead=3)
    for first in spoiled.first_row:
        spoiled.targets[first : first + 3] = 1e3
    fitted = baselines.fit(PLAIN.model_copy(update={"horizon": -3}), spoiled, spoiled)
    assert np.abs(fitted.mean_mm).max() < 1
    unseen = table(fir_answer, seed=30)
    predicted = baselines.predict(fitted, unseen)["linear_fir"]
    np.testing.assert_allclose(predicted, unseen.targets, atol=1e-6)


@pytest.mark.parametrize(
    ("features", "targets", "columns", "is_position", "has_physics"),
    [
        (DATA.features, DATA.targets, (2, 3), False, True),
        (("vx_cmd", "vy_cmd"), ("lag_x", "lag_y"), (0, 1), False, False),
        (("x_ref", "vy_ref", "vz_ref"), ("error_x", "error_y"), (1, 2), False, False),
        (("x_ref", "y_ref"), ("error_x", "error_y"), (0, 1), True, False),
        (("x_ref", "y_ref", "vx_ref"), ("error_x", "error_y"), (2,), False, False),
    ],
)
def test_velocities_are_found_among_the_features(
    features, targets, columns, is_position, has_physics
):
    data = Data(traces=("none",), features=features, targets=targets)
    made = table(fir_answer)
    made = made._replace(features=made.features[:, : len(features)])
    fitted = baselines.fit(data, made, made)
    assert (fitted.velocity, fitted.is_position) == (columns, is_position)
    assert ("physics" in baselines.predict(fitted, made)) == has_physics


def test_positions_alone_are_differentiated():
    data = Data(traces=("none",), features=("x_ref", "y_ref"))
    made = table(fir_answer)
    positions = made._replace(features=made.features[:, :2])
    predicted = baselines.predict(baselines.fit(data, positions, positions), positions)
    # Positions are rounded to float32, which their differences feel.
    assert metrics.measure(made.targets, predicted["linear_fir"].astype(np.float32)).r2 > 0.99


def test_what_was_kept_predicts_the_same(tmp_path):
    fitted, unseen = fit_with_plant(), table(fir_answer, seed=30)
    path = tmp_path / "baselines.npz"
    baselines.save(path, fitted)
    back = baselines.load(path, DATA)
    assert (back.motion, back.velocity, back.horizon) == (fitted.motion, fitted.velocity, 0)
    for name, values in baselines.predict(fitted, unseen).items():
        np.testing.assert_array_equal(baselines.predict(back, unseen)[name], values)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"baselines\.npz: expected the run's fitted baselines"):
        baselines.load(path, DATA)
