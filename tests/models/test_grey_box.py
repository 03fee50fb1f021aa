"""Identification: the simulator's numbers are found again, and what cannot be told is said."""

import functools

import numpy as np
import pytest
from elastic import PLANT, PLANT_RATE_HZ, RATE_HZ, axes_of, drive

from jaxcorr.data.windows import Samples
from jaxcorr.models import grey_box, plant_path
from jaxcorr.models.grey_box import Piece
from jaxcorr.models.plant_path import Axes
from jaxcorr.printer_spec import Printer

PLANTS_ARE_FOUND = True
NOISE_MM = 0.002


def zigzag(seed: int, seconds: float):
    """Lines at speeds a printer has, with ramps between them: position and velocity, 4 kHz."""
    rng = np.random.default_rng(seed)
    count = round(seconds * PLANT_RATE_HZ) + 1
    lines = rng.choice([-60.0, -30.0, -4.0, 0.0, 4.0, 30.0, 60.0], (count // 2000 + 2, 2))
    ramp = np.ones(401) / 401
    velocity = np.apply_along_axis(np.convolve, 0, np.repeat(lines, 2000, axis=0), ramp, "same")
    velocity = velocity[:count]
    moved = (velocity[1:] + velocity[:-1]) / 2 / PLANT_RATE_HZ
    return 100 + np.concatenate([np.zeros((1, 2)), np.cumsum(moved, axis=0)]), velocity


@functools.cache
def layer(seed: int, seconds: float = 8.0, printer: Printer = PLANT) -> Piece:
    """A trace of a printer, with noise."""
    position, velocity = zigzag(seed, seconds)
    lag = drive(printer, position, velocity)
    every = slice(None, None, round(PLANT_RATE_HZ / RATE_HZ))
    noise = np.random.default_rng(seed + 100).normal(0, NOISE_MM, lag[every].shape)
    return Piece(position[every], velocity[every], lag[every] + noise)


@functools.cache
def identified() -> grey_box.Identified:
    return grey_box.identify([layer(seed) for seed in range(4)], RATE_HZ)


def test_the_printers_numbers_are_found_again():
    found, truth = identified(), axes_of(PLANT)
    for name, share in (
        ("frequency_hz", 0.01),
        ("damping_ratio", 0.05),
        ("friction_mm", 0.02),
        ("friction_velocity_mm_s", 0.1),
    ):
        np.testing.assert_allclose(getattr(found.axes, name), getattr(truth, name), rtol=share)
    np.testing.assert_allclose(found.axes.viscous_s, 0, atol=5e-5)
    np.testing.assert_allclose(found.axes.sine_mm, truth.sine_mm, atol=5e-4)
    np.testing.assert_allclose(found.axes.cosine_mm, 0, atol=5e-4)
    np.testing.assert_allclose(found.rms_mm, NOISE_MM, rtol=0.1)
    assert (found.unexplained < 0.01).all()
    assert grey_box.is_fit(found)
    assert not any(np.any(field) for field in found.is_at_bound)


def test_intervals_are_narrow_and_about_as_wide_as_other_traces_differ():
    found, truth = identified(), axes_of(PLANT)
    other = grey_box.identify([layer(10 + seed) for seed in range(4)], RATE_HZ)
    for name in ("frequency_hz", "friction_mm"):
        low, high = getattr(found.low, name), getattr(found.high, name)
        width = (high - low) / 2
        assert (width > 0).all()
        assert (width < 0.02 * getattr(truth, name)).all()
        assert (np.abs(getattr(found.axes, name) - getattr(other.axes, name)) < 3 * width).all()
        assert (np.abs(getattr(truth, name) - getattr(found.axes, name)) < 4 * width).all()


def test_a_corexys_motors_are_found_where_they_are():
    # Twice as stiff as one belt, and so as the default printer.
    printer = Printer(
        kinematics="corexy", stiffness_n_m=(4000.0, 4000.0), damping_ns_m=(7.5, 7.5),
        friction_n=(0.3, 0.5),
    )  # fmt: skip
    traces = [layer(seed, printer=printer) for seed in range(4)]
    found, truth = grey_box.identify(traces, RATE_HZ, "corexy"), axes_of(printer)
    for name, share in (
        ("frequency_hz", 0.01),
        ("damping_ratio", 0.05),
        ("friction_mm", 0.03),
        ("other_friction_mm", 0.03),
        ("friction_velocity_mm_s", 0.1),
    ):
        np.testing.assert_allclose(getattr(found.axes, name), getattr(truth, name), rtol=share)
    np.testing.assert_allclose(found.axes.sine_mm, truth.sine_mm, atol=5e-4)
    np.testing.assert_allclose(found.rms_mm, NOISE_MM, rtol=0.1)
    back = grey_box.from_arrays(grey_box.to_arrays(found))
    assert back is not None
    np.testing.assert_array_equal(back.low.other_friction_mm, found.low.other_friction_mm)


def test_what_a_trace_cannot_tell_is_at_its_bound_or_without_interval():
    rng, traces = np.random.default_rng(0), []
    for seed in range(4):  # as many as above: the fit is compiled once for them
        piece = layer(seed)
        noise = rng.normal(0, NOISE_MM, piece.error_mm.shape)
        traces.append(piece._replace(error_mm=noise))
    found = grey_box.identify(traces, RATE_HZ)
    assert (found.unexplained > 0.5).all()
    assert not grey_box.is_fit(found)


def test_a_damping_that_cannot_be_told_from_none_is_no_resonance():
    """As of a servo, whose error is a lag."""
    found = identified()
    for damping, untold in ((5e-4, ["damping_ratio"]), (-np.inf, []), (0.01, [])):
        low = found.low._replace(damping_ratio=np.array([0.1, damping]))
        assert grey_box.untold(found._replace(low=low)) == untold
        assert grey_box.is_fit(found._replace(low=low)) == (not untold)


def test_other_damping_shows_as_a_lag_of_steady_motion():
    ground = PLANT.model_copy(update={"damping": "ground"})
    found = grey_box.identify([layer(seed, printer=ground) for seed in range(4)], RATE_HZ)
    np.testing.assert_allclose(found.axes.viscous_s, 15.0 / 8000.0, rtol=0.03)
    assert (found.axes.damping_ratio < 0.02).all()


@pytest.mark.parametrize("horizon", [0, -2, 3])
def test_pieces_of_a_table_have_each_error_at_its_command(horizon):
    rows = 40
    time = np.arange(2 * rows, dtype=np.float32)
    features = np.stack([time, time + 0.25, time + 0.5, time + 0.75], axis=1)
    errors = time[:, None] + np.array([1000, 2000], np.float32)
    samples = Samples(
        features=features,
        targets=np.roll(errors, -horizon, axis=0),
        first_row=np.array([0, rows]),
        num_rows=np.array([rows, rows]),
        lead=max(-horizon, 0),
        names=("p/a", "p/b"),
        parts=("p", "p"),
    )
    pieces = grey_box.pieces_of(samples, (0, 1), (2, 3), horizon)
    assert len(pieces) == 2
    for piece in pieces:
        known = np.isfinite(piece.error_mm[:, 0])
        assert known.sum() == rows - abs(horizon)
        np.testing.assert_array_equal(piece.error_mm[known, 0], piece.position_mm[known, 0] + 1000)
        np.testing.assert_array_equal(piece.position_mm[:, 0] + 0.5, piece.velocity_mm_s[:, 0])


def test_kept_and_read_again():
    found = identified()
    back = grey_box.from_arrays(grey_box.to_arrays(found))
    assert back is not None
    for a, b in zip(found, back, strict=True):
        for left, right in zip(a, b, strict=True) if isinstance(a, Axes) else ((a, b),):
            np.testing.assert_array_equal(left, right)
    assert grey_box.from_arrays(grey_box.to_arrays(None)) is None
    assert back.axes.sine_mm.shape == (len(plant_path.PERIODS_MM), 2)
