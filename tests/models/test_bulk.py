"""Predictions in bulk: every trace as if it were alone, every window as if it were the first."""

import jax
import numpy as np
import oscillator
import pytest

from jaxcorr.data import windows
from jaxcorr.data.trace import Trace
from jaxcorr.models import bulk
from jaxcorr.models import network as model
from jaxcorr.models.network import Weights
from jaxcorr.models.normalize import Scale

run_step = jax.jit(model.step, static_argnums=0)

LENGTHS = (300, 40, 13)  # more than one chunk, less than one, less than a window


@pytest.fixture(scope="module")
def spec():
    return oscillator.make_spec()


@pytest.fixture(scope="module")
def weights(spec):
    network = model.initialize(spec, 6, jax.random.key(0))
    inputs = Scale(np.zeros(6, np.float32), np.full(6, 10, np.float32))
    one = np.ones(2, np.float32)
    return Weights(network, inputs, Scale(0 * one, one), 9 * one)


def tabulate(spec, lengths, tmp_path):
    traces = []
    for i, length in enumerate(lengths):
        columns = oscillator.make_layer(np.random.default_rng(i), length)
        traces.append(Trace(tmp_path / f"{i}.mat", "toy", columns, {}))
    return windows.tabulate(traces, spec.data)


def run_alone(spec, weights, rows):
    """Sample by sample, from a zero carry."""
    carry, errors = model.carry_for(spec, 1), []
    for row in rows:
        carry, error = run_step(spec, weights, carry, row[None])
        errors.append(error[0])
    return np.array(errors)


def test_a_trace_streams_as_if_it_were_alone(spec, weights, tmp_path, monkeypatch):
    samples = tabulate(spec, LENGTHS, tmp_path)
    together = bulk.stream(spec, weights, samples)
    monkeypatch.setattr(bulk, "MOST_STREAMS", 2)  # two groups instead of one
    np.testing.assert_allclose(bulk.stream(spec, weights, samples), together, atol=1e-6)
    for first, rows in zip(samples.first_row, samples.num_rows, strict=True):
        alone = run_alone(spec, weights, samples.features[first : first + rows])
        np.testing.assert_allclose(together[first : first + rows], alone, atol=1e-6)
    assert np.std(together) > 0.01


def test_a_window_runs_from_zero(spec, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "WINDOW_BATCH", 16)
    samples = tabulate(spec, LENGTHS, tmp_path)
    predicted = bulk.from_windows(spec, weights, samples)
    window = spec.data.window
    for last in (window - 1, 299, 300 + window - 1, 339):
        alone = run_alone(spec, weights, samples.features[last - window + 1 : last + 1])
        np.testing.assert_allclose(predicted[last], alone[-1], atol=1e-6)
    complete = bulk.has_window(samples, window)
    np.testing.assert_array_equal(np.isfinite(predicted).all(axis=1), complete)
    assert complete.sum() == (300 - window + 1) + (40 - window + 1)


def test_a_preview_has_no_target_at_the_start(tmp_path):
    samples = tabulate(oscillator.make_spec(data={"horizon": -2}), (10, 5), tmp_path)
    without = np.flatnonzero(~bulk.has_target(samples))
    np.testing.assert_array_equal(without, [0, 1, 10, 11])


def test_traces_that_begin_in_motion_are_scored_after_a_lead(tmp_path):
    samples = tabulate(oscillator.make_spec(), (100, 10, 60), tmp_path)
    begun = samples._replace(in_motion=(True, True, False))
    left_out = np.flatnonzero(~bulk.is_scored(begun, 100.0))
    np.testing.assert_array_equal(left_out, [*range(20), *range(100, 105)])
    assert bulk.is_scored(samples._replace(in_motion=()), 100.0).all()
