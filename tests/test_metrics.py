"""Metrics: closed forms, numpy as the outside oracle, what is undefined; an evaluation's file."""

import copy
import inspect
import json
import math

import evaluations
import numpy as np
import pytest
import sklearn.metrics as oracle
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxcorr import metrics
from jaxcorr.errors import InputError
from jaxcorr.metrics import measure, percentiles

SIZES = st.integers(3, 40)
SEEDS = st.integers(0, 2**32 - 1)


def test_three_samples_by_hand():
    found = measure(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 5.0]))
    assert found.mae_mm == 1.0
    assert found.rmse_mm == math.sqrt(3)
    assert found.max_mm == 3.0
    assert found.r2 == 1 - 9 / 2
    assert found.correlation == pytest.approx(5 / math.sqrt(2 * 14))


def test_a_perfect_prediction_and_the_mean():
    true = np.random.default_rng(0).normal(size=(50, 2))
    exact = measure(true, true)
    assert (exact.mae_mm, exact.rmse_mm, exact.r2, exact.max_mm) == (0.0, 0.0, 1.0, 0.0)
    assert exact.correlation == pytest.approx(1.0)
    mean = np.broadcast_to(true.mean(axis=0), true.shape)
    assert measure(true, mean).r2 == pytest.approx(0.0, abs=1e-12)
    assert measure(true, mean).correlation is None


@given(SIZES, SEEDS)
def test_agrees_with_numpy_on_one_axis(size, seed):
    true, predicted = np.random.default_rng(seed).normal(size=(2, size))
    found = measure(true, predicted)
    assert found.correlation == pytest.approx(np.corrcoef(true, predicted)[0, 1])
    assert found.r2 == pytest.approx(1 - np.mean((predicted - true) ** 2) / np.var(true))
    assert found.mae_mm <= found.rmse_mm <= found.max_mm


@given(SIZES, SEEDS, st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_an_offset_of_an_axis_explains_nothing(size, seed, offset_x, offset_y):
    true, predicted = np.random.default_rng(seed).normal(size=(2, size, 2))
    offset = np.array([offset_x, offset_y])
    plain, moved = measure(true, predicted), measure(true + offset, predicted + offset)
    assert moved.r2 == pytest.approx(plain.r2, rel=1e-6)
    assert moved.correlation == pytest.approx(plain.correlation, rel=1e-6, abs=1e-9)


@given(SIZES, SEEDS)
def test_pooled_axes_weigh_each_axis_by_its_variance(size, seed):
    true, predicted = np.random.default_rng(seed).normal(size=(2, size, 2)) * [1.0, 7.0]
    axes = [measure(true[:, i], predicted[:, i]) for i in range(2)]
    share = true.var(axis=0) / true.var(axis=0).sum()
    pooled = measure(true, predicted)
    assert pooled.mae_mm == pytest.approx(np.mean([axis.mae_mm for axis in axes]))
    assert pooled.r2 == pytest.approx(share @ [axis.r2 for axis in axes])


@pytest.mark.parametrize("num_samples", [1, 2, 100_000])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e6 / 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_truth_has_no_r2(num_samples, value, dtype):
    true = np.full((num_samples, 2), value, dtype)
    noise = np.random.default_rng(0).normal(size=true.shape)
    found = measure(true, noise)
    assert found.r2 is None
    assert found.correlation is None
    assert found.mae_mm == pytest.approx(np.mean(np.abs(noise - true)))


def test_a_constant_prediction_has_an_r2_and_no_correlation():
    true = np.random.default_rng(0).normal(size=(100_000, 2)) * 1e-3
    found = measure(true, np.full_like(true, 0.1))
    assert found.correlation is None
    assert found.r2 < -100


def test_sums_run_in_float64():
    true = np.full(1_000_000, 1e4, np.float32)
    assert measure(true, true + np.float32(1)).mae_mm == 1.0


@given(hnp.arrays(np.float64, (7, 2), elements=st.floats(-1, 1)))
def test_percentiles_are_of_absolute_residuals_in_order(true):
    found = percentiles(true, np.zeros_like(true))
    assert list(found) == ["p50_mm", "p90_mm", "p95_mm", "p99_mm"]
    values = list(found.values())
    assert values == sorted(values)
    assert values[0] == pytest.approx(np.median(np.abs(true)))


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((3, 2), (3, 1)), ((0, 2), (0, 2))])
def test_unequal_or_empty_arrays_are_refused(shapes):
    unchecked = inspect.unwrap(measure)  # as outside pytest, where no annotation is checked
    with pytest.raises(ValueError, match="expected equal, non-empty shapes, got"):
        unchecked(np.ones(shapes[0]), np.ones(shapes[1]))


@given(st.integers(2, 40), st.integers(1, 3), SEEDS)
def test_agrees_with_scikit_learn(size, axes, seed):
    true, predicted = (
        np.random.default_rng(seed).normal(size=(2, size, axes)) * [1.0, 3.0, 9.0][:axes]
    )
    found = measure(true, predicted)
    assert found.mae_mm == pytest.approx(oracle.mean_absolute_error(true, predicted))
    assert found.rmse_mm**2 == pytest.approx(oracle.mean_squared_error(true, predicted))
    pooled = oracle.r2_score(true, predicted, multioutput="variance_weighted")
    assert found.r2 == pytest.approx(pooled, rel=1e-9, abs=1e-9)
    worst = max(oracle.max_error(true[:, i], predicted[:, i]) for i in range(axes))
    assert found.max_mm == pytest.approx(worst)


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE, st.none() | FINITE, st.none() | st.tuples(FINITE, FINITE))
def test_an_evaluation_is_the_same_after_a_file(value, r2, interval):
    accuracy = evaluations.ACCURACY | {"mae_mm": value, "r2": r2}
    made = evaluations.make(
        window={"overall": accuracy, "x": accuracy, "some axis": accuracy},
        intervals=evaluations.TABLE["intervals"] | {"mae_mm": interval},
        ceiling=evaluations.CEILING,
        dynamic=evaluations.DYNAMIC
        | {"offset": "fitted", "share_of_variance": r2, "x": evaluations.DYNAMIC},
    )
    assert set(made.window.axes) == {"x", "some axis"}
    text = json.dumps(made.model_dump(mode="json"))
    assert metrics.Evaluation.model_validate_json(text) == made


def test_keys_of_the_file_are_those_of_its_table():
    assert evaluations.make().model_dump(mode="json") == evaluations.TABLE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"metrics\.json: expected JSON, got .*\. Evaluate the run again\."),
        ("[]", r"metrics\.json: expected an object, got \[\]\."),
        ("missing", r"expected key 'test\.overall', got none\."),
        ("value", r"expected 'test\.x\.mae_mm' to be a valid number, got 'low'\."),
        ("key", r"expected known keys, got 'horizon_ms'\."),
        (None, r"expected a readable file, got 'No such file or directory'\."),
    ],
)
def test_a_damaged_file_is_one_line_that_names_the_key(tmp_path, text, message):
    path = tmp_path / "metrics.json"
    table = copy.deepcopy(evaluations.TABLE)
    if text == "value":
        table["test"]["x"] = evaluations.ACCURACY | {"mae_mm": "low"}
    elif text == "missing":
        table["test"] = {}
    elif text == "key":
        table["horizon_ms"] = 1
    if text is not None:
        path.write_text(text if text in ("{", "[]") else json.dumps(table))
    with pytest.raises(InputError, match=message) as refusal:
        metrics.read(path)
    assert "\n" not in str(refusal.value)
