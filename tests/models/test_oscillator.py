"""The fitted oscillator: against scipy's simulation, and found again from its own motion."""

import numpy as np
import pytest
import scipy.signal

from jaxcorr.models import oscillator
from jaxcorr.models.oscillator import Mode

RATE_HZ = 100.0
TRUTH = (Mode(24.06, 0.142, 2.0), Mode(11.0, 0.05, 5.0))


def speeds(seed, num_samples=1500):
    """Random accelerations held for a tenth of a second, as a printer's moves are."""
    rng = np.random.default_rng(seed)
    push = np.repeat(rng.uniform(-800, 800, (num_samples // 10 + 1, 2)), 10, axis=0)[:num_samples]
    return scipy.signal.lfilter([1 / RATE_HZ], [1, -0.97], push, axis=0)


def simulate(mode, force):
    """Displacement under a force per mass that is held over the step to each sample, by scipy."""
    w, z = 2 * np.pi * mode.frequency_hz, mode.damping_ratio
    held_after = np.append(force[1:], 0.0)  # scipy holds a value over the step after it
    start = np.array([force[0], 0.0])
    system = ([1.0], [1.0, 2 * z * w, w * w])
    time = np.arange(len(force) + 1) / RATE_HZ
    _, e, _ = scipy.signal.lsim(system, np.concatenate([start[:1], held_after]), time, interp=False)
    return e[1:]


def motion(mode, speed):
    """The error of an axis with friction of its own, and an offset."""
    accel = np.diff(speed, prepend=speed[:1]) * RATE_HZ
    w = 2 * np.pi * mode.frequency_hz
    friction = 0.05 * w * w * np.tanh(speed / mode.friction_velocity_mm_s)
    return simulate(mode, -accel + friction) + 0.003


def test_response_is_that_of_an_independent_simulation():
    force = np.random.default_rng(0).normal(size=(400, 1)) * 100
    for mode in TRUTH:
        e, _ = oscillator.respond(mode, force, RATE_HZ)
        np.testing.assert_allclose(e[:, 0], simulate(mode, force[:, 0]), atol=1e-9)


def test_constant_force_leaves_the_static_displacement_and_no_velocity():
    e, scaled_v = oscillator.respond(TRUTH[0], np.ones((2000, 1)), RATE_HZ)
    assert e[-1, 0] == pytest.approx(1 / (2 * np.pi * TRUTH[0].frequency_hz) ** 2)
    assert scaled_v[-1, 0] == pytest.approx(0.0, abs=1e-12)


def test_known_oscillators_are_found_again():
    tables = []
    for seed in range(3):
        v = speeds(seed)
        tables.append((v, np.column_stack([motion(m, v[:, i]) for i, m in enumerate(TRUTH)])))
    modes, readout = oscillator.fit(lambda: tables[:2], 0, 0, RATE_HZ)
    for found, truth in zip(modes, TRUTH, strict=True):
        assert found == pytest.approx(truth, rel=1e-5)
    unseen, truth = tables[2]
    predicted = oscillator.predict(modes, readout, unseen, 0, RATE_HZ)
    np.testing.assert_allclose(predicted, truth, atol=1e-6)


def test_preview_knows_the_earlier_state_exactly():
    v = speeds(0)
    truth = np.column_stack([motion(mode, v[:, i]) for i, mode in enumerate(TRUTH)])
    shifted = np.roll(truth, 2, axis=0)  # each row's target lies two samples before it
    modes, readout = oscillator.fit(lambda: [(v, shifted)], 2, -2, RATE_HZ)
    predicted = oscillator.predict(modes, readout, v, -2, RATE_HZ)
    np.testing.assert_allclose(predicted[2:], shifted[2:], atol=1e-6)


def test_an_axis_that_never_errs_is_predicted_as_zero():
    v = speeds(0, 300)
    modes, readout = oscillator.fit(lambda: [(v, np.zeros_like(v))], 0, 0, RATE_HZ)
    assert np.isfinite(modes).all()
    assert not oscillator.predict(modes, readout, v, 0, RATE_HZ).any()
