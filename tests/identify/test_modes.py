"""Modes of axes that are known come back, through an accelerometer's noise."""

import numpy as np
import pytest
import resonances

from jaxcorr.identify import modes


def fit(truth, num_modes, **options):
    frequency_hz, psd = resonances.spectra(resonances.measured(truth, **options))
    return modes.fit(float(frequency_hz[1]), psd[:, 0], num_modes)


@pytest.mark.parametrize(("frequency_hz", "ratio"), [(24.06, 0.142), (47.25, 0.03), (95.0, 0.08)])
def test_one_mode_to_a_thousandth_through_noise(frequency_hz, ratio):
    found = fit([(frequency_hz, ratio, 1.0)], 1)
    assert found.modes[0].frequency_hz == pytest.approx(frequency_hz, rel=1e-3)
    assert found.modes[0].damping_ratio == pytest.approx(ratio, rel=1e-2)
    assert found.modes[0].share == 1.0
    assert found.residual < 0.01


@pytest.mark.parametrize(
    "truth",
    [
        [(40.0, 0.08, 0.7), (66.0, 0.05, 0.3)],
        [(38.0, 0.06, 0.8), (31.0, 0.04, 0.2)],
        [(50.0, 0.07, 1.3), (90.0, 0.1, -0.3)],
        [(45.0, 0.05, 0.6), (80.0, 0.06, 0.2)],
    ],
    ids=["parallel", "weak and low", "in series", "with a stiff share"],
)
def test_two_modes_the_weakest_first(truth):
    found = fit(truth, 2)
    for one, (frequency_hz, ratio, share) in zip(found.modes, truth, strict=True):
        assert one.frequency_hz == pytest.approx(frequency_hz, rel=2e-3)
        assert one.damping_ratio == pytest.approx(ratio, rel=0.02)
        assert one.share == pytest.approx(share, abs=0.01)
    # One mode does not do.
    assert found.residual < 0.01
    assert fit(truth, 1).residual > 10.0 * found.residual


def test_the_fit_is_at_the_files_level():
    frequency_hz, psd = resonances.spectra(resonances.measured([(48.0, 0.08, 1.0)]))
    found = modes.fit(float(frequency_hz[1]), 0.64 * psd[:, 0], 1)
    peak = int(np.argmax(psd[:, 0]))
    assert found.psd.shape == frequency_hz.shape
    assert found.psd[peak] == pytest.approx(0.64 * psd[peak, 0], rel=0.02)


def test_intervals_hold_the_truth_where_the_spectrum_is_rough():
    """Ripples of other parts, by 20%, that go over three bins; of ten intervals two may miss."""
    frequency_hz, psd = resonances.spectra(resonances.measured([(48.0, 0.08, 1.0)]))
    held, widths = [], []
    for seed in range(5):
        noise = np.random.default_rng(seed).standard_normal(len(psd) + 2)
        ripple = np.exp(0.2 * np.convolve(noise, np.ones(3) / 3**0.5, "valid"))
        found = modes.fit(float(frequency_hz[1]), ripple * psd[:, 0], 1)
        low, high = found.low[0], found.high[0]
        held.append(low.frequency_hz < 48.0 < high.frequency_hz)
        held.append(low.damping_ratio < 0.08 < high.damping_ratio)
        widths.append(high.frequency_hz - low.frequency_hz)
    assert sum(held) >= 8
    assert max(widths) < 5.0
