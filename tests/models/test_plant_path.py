"""The plant by samples: the simulator's own motion, streams, horizons and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from elastic import COREXY, PLANT, RATE_HZ, axes_of, motion

from jaxcorr.models import plant_path
from jaxcorr.models.plant_path import Axes, Sample

FINE_HZ = 500.0  # with two steps a sample, not ten, which are soon compiled


@functools.partial(jax.jit, static_argnums=(1, 6))
def follow(path, horizon, memory, command, before, is_started, rate_hz=RATE_HZ):
    return plant_path.follow(path, rate_hz, horizon, memory, command, before, is_started)


def run(path, horizon=0, position=None, velocity=None, memory=None, before=None, rate_hz=RATE_HZ):
    if position is None:
        position, velocity, _ = motion(rate_hz=rate_hz)
    command = Sample(*(jnp.asarray(c, jnp.float32)[:, None] for c in (position, velocity)))
    is_started = jnp.full((1, 1), float(before is not None))
    if before is None:
        before = jax.tree.map(lambda column: column[0], command)
        memory = plant_path.initialize(1, position.shape[1], horizon)
    memory, errors = follow(path, horizon, memory, command, before, is_started, rate_hz)
    last = jax.tree.map(lambda column: column[-1], command)
    return memory, last, np.asarray(errors[:, 0])


@pytest.mark.parametrize(
    ("printer", "rate_hz", "near_mm", "far_mm"),
    [
        (PLANT, 100.0, 4e-4, 0.08),
        (PLANT, 500.0, 4e-4, 0.08),
        (COREXY, 100.0, 1e-4, 0.01),
        (COREXY, 250.0, 1e-4, 0.01),
        (COREXY, 1000.0, 1e-4, 0.01),
    ],
)
def test_follows_the_simulator_at_any_rate(printer, rate_hz, near_mm, far_mm):
    position, velocity, lag = motion(printer=printer, rate_hz=rate_hz)
    path = plant_path.from_axes(axes_of(printer), rate_hz)
    _, _, errors = run(path, 0, position, velocity, rate_hz=rate_hz)
    settled = slice(round(0.3 * rate_hz), None)
    off = errors[settled] - lag[settled]
    assert np.sqrt(np.mean(off**2)) < near_mm
    assert np.std(errors[settled]) > far_mm


def test_more_steps_come_nearer_and_each_number_counts():
    axes, rate_hz = axes_of(PLANT), 400.0
    truth = motion(rate_hz=rate_hz)[2]

    def miss(axes, step_rate_hz):
        path = plant_path.discretize(axes, rate_hz, round(step_rate_hz / rate_hz))
        return np.sqrt(np.mean((run(path, rate_hz=rate_hz)[2] - truth)[120:] ** 2))

    assert miss(axes, 1600) < 0.5 * miss(axes, 800) < 0.25 * miss(axes, 400)
    for field, change in zip(
        Axes._fields[:-1], (1.0, 0.02, 0.002, 0.5, 1e-4, 2e-3, 1e-3, 1e-3), strict=True
    ):
        assert miss(axes._replace(**{field: getattr(axes, field) + change}), 1600) > 2e-4, field


def test_full_steps_faster_than_the_sampling_do_not_alias():
    # 80 mm/s over 0.2 mm is 400 Hz: at each sample the motor stands at the same phase, 4 um off
    # for each period; the resonance lets 0.3 um of it through to the head.
    position = 80.0 / RATE_HZ * np.arange(100)[:, None] * np.ones(2) + 0.05
    path = plant_path.from_axes(axes_of(PLANT), RATE_HZ)
    _, _, errors = run(path, 0, position, np.full_like(position, 80.0))
    np.testing.assert_allclose(errors[60:], -0.1, atol=6e-4)


@pytest.mark.parametrize("horizon", [0, -3, 1, 4])
def test_a_stream_is_the_whole_in_pieces_of_any_length(horizon):
    path = plant_path.from_axes(axes_of(PLANT), FINE_HZ)
    position, velocity, _ = (column[:60] for column in motion(rate_hz=FINE_HZ))
    _, _, whole = run(path, horizon, position, velocity, rate_hz=FINE_HZ)
    memory = before = None
    found = []
    for begin, end in ((0, 1), (1, 2), (2, 31), (31, 60)):
        piece = (position[begin:end], velocity[begin:end])
        memory, before, errors = run(path, horizon, *piece, memory, before, FINE_HZ)
        found.append(errors)
    np.testing.assert_allclose(np.concatenate(found), whole, atol=2e-7)


@pytest.mark.parametrize("horizon", [-3, 4])
def test_a_horizon_is_told_earlier_or_later(horizon):
    path = plant_path.from_axes(axes_of(PLANT), FINE_HZ)
    now, then = (run(path, each, rate_hz=FINE_HZ)[2] for each in (0, horizon))
    if horizon < 0:  # what was, exactly
        np.testing.assert_array_equal(then[-horizon:], now[:horizon])
        assert not then[:-horizon].any()
    else:  # what will be, if the speed stays: nearer than that nothing changes
        ahead = np.abs(then[30:-horizon] - now[30 + horizon :]).mean()
        assert ahead < 0.7 * np.abs(now[30:-horizon] - now[30 + horizon :]).mean()


def test_far_ahead_the_motion_is_steady():
    path = plant_path.from_axes(axes_of(PLANT, 0.0), FINE_HZ)
    speeds = np.sign(motion(rate_hz=FINE_HZ)[1])
    far, farther = (run(path, horizon, rate_hz=FINE_HZ)[2] for horizon in (250, 1000))
    np.testing.assert_array_equal(far, farther)
    np.testing.assert_allclose(
        far[np.abs(motion(rate_hz=FINE_HZ)[1]) > 8],
        -0.1 * speeds[np.abs(motion(rate_hz=FINE_HZ)[1]) > 8],
        atol=1e-4,
    )


def test_at_rest_nothing_moves_and_a_blank_path_says_nothing():
    path = plant_path.from_axes(axes_of(PLANT, 0.0), FINE_HZ)
    still = np.full((50, 2), 100.0)
    np.testing.assert_array_equal(run(path, 0, still, 0 * still, rate_hz=FINE_HZ)[2], 0)
    corexy = plant_path.from_axes(axes_of(COREXY), FINE_HZ)
    for like, kinematics in ((path, "cartesian"), (corexy, "corexy")):
        blank = plant_path.blank(2, FINE_HZ, kinematics)
        assert {n: np.shape(a) for n, a in blank.items()} == {
            n: np.shape(a) for n, a in like.items()
        }
        np.testing.assert_array_equal(run(blank, rate_hz=FINE_HZ)[2], 0)


def test_gradients_are_those_of_small_changes():
    path = plant_path.from_axes(axes_of(PLANT), FINE_HZ)
    position, velocity, _ = (column[100:130] for column in motion(rate_hz=FINE_HZ))
    before = Sample(*(jnp.asarray(c[:1], jnp.float32) for c in (position, velocity)))

    def last(shift):
        command = Sample(*(jnp.asarray(c, jnp.float32)[:, None] for c in (position, velocity)))
        command = command._replace(velocity_mm_s=command.velocity_mm_s + shift)
        memory = plant_path.initialize(1, 2, 0)
        return follow(path, 0, memory, command, before, jnp.zeros((1, 1)), FINE_HZ)[1][-1, 0, 0]

    slope, small = float(jax.grad(last)(0.0)), 0.005
    assert slope == pytest.approx(float(last(small) - last(-small)) / (2 * small), rel=0.05)
    assert np.isfinite(slope)
    assert slope != 0
