"""Scales of a split: those of all its rows at once, whatever the lengths of its traces."""

import numpy as np
import oscillator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcorr.data import windows
from jaxcorr.data.trace import Trace
from jaxcorr.models import bulk, network, normalize, scales


def tabulate(spec, lengths, folder):
    columns = [oscillator.make_layer(np.random.default_rng(n), n) for n in lengths]
    traces = [Trace(folder / f"{i}.mat", "toy", c, {}) for i, c in enumerate(columns)]
    return windows.tabulate(traces, spec.data)


def at_once(spec, samples):
    """The same from one array of all inputs, each trace from a fresh carry."""
    carry, inputs, targets = network.carry_for(spec, 1), [], []
    for first, rows in zip(samples.first_row, samples.num_rows, strict=True):
        own = samples.features[first : first + rows, None]
        derived = network.derive_inputs(spec.model, own, carry.previous, carry.is_started)
        inputs.append(derived[:, 0])
        targets.append(samples.targets[first + samples.lead : first + rows])
    return normalize.fit(np.concatenate(inputs)), normalize.fit(np.concatenate(targets))


@pytest.mark.parametrize(("inputs", "horizon"), [("kinematic", -3), ("raw", 2)])
def test_scales_are_those_of_all_rows_at_once(tmp_path, monkeypatch, inputs, horizon):
    monkeypatch.setattr(windows, "MOST_IN_MEMORY", 1)
    how = {"inputs": inputs, "phase_periods_mm": [0.2]}
    spec = oscillator.make_spec(model=how, data={"horizon": horizon})
    samples = tabulate(spec, (300, 64, 12), tmp_path)
    *both, limit_mm = scales.fit_scales(spec, samples)
    known = samples.targets[bulk.has_target(samples)]
    np.testing.assert_array_equal(limit_mm, 2 * np.abs(known).max(axis=0))
    for found, expected in zip(both, at_once(spec, samples), strict=True):
        np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.std, expected.std, rtol=1e-6)


def test_many_lengths_are_few_compilations(tmp_path, monkeypatch):
    """Each size that jax sees is compiled by itself, at many times the cost of its use."""
    sizes, derive = [], scales._derive_padded
    monkeypatch.setattr(
        scales, "_derive_padded", lambda spec, rows: sizes.append(len(rows)) or derive(spec, rows)
    )
    spec = oscillator.make_spec()
    scales.fit_scales(spec, tabulate(spec, [*range(130, 250, 7), 256, 257], tmp_path))
    assert len(sizes) == 20
    assert set(sizes) == {256, 512}


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any),
    st.floats(-1e3, 1e3),
    st.integers(0, 2**32 - 1),
)
def test_pieces_have_the_scale_of_the_whole(lengths, offset, seed):
    rng = np.random.default_rng(seed)
    pieces = [(rng.normal(size=(n, 2)) + offset).astype(np.float32) for n in lengths]
    whole = np.concatenate(pieces).astype(np.float64)
    found = normalize.fit_pieces(iter(pieces))
    np.testing.assert_allclose(found.mean, whole.mean(axis=0), rtol=1e-6, atol=1e-6)
    if len(whole) > 1:
        np.testing.assert_allclose(found.std, whole.std(axis=0), rtol=1e-5)
