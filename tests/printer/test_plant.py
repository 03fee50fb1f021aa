"""The plant against closed forms, a tight integrator, the matrix exponential, and itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from jaxcorr.printer.plant import (
    PlantState,
    discretize,
    friction_stretch_mm,
    from_motors,
    initial_state,
    mean_velocity,
    plant_step,
    respond,
    to_motors,
    track,
)
from jaxcorr.printer_spec import Printer

RATE = 2000.0
SMOOTH = Printer(friction_n=(0.0, 0.0))
DEFAULT = Printer()
SECOND = {
    "second_frequency_hz": (70.0, 61.0),
    "second_damping_ratio": (0.05, 0.03),
    "second_share": (0.3, -0.2),
    "stiff_share": (0.1, 0.0),
}
BELTS = {
    "kinematics": "corexy",
    "stiffness_n_m": (8000.0, 6000.0),
    "damping_ns_m": (15.0, 9.0),
    "friction_n": (0.8, 0.3),
}
TWO_MODES, COREXY = Printer(**SECOND), Printer(**BELTS)
BOTH = Printer(**BELTS, **SECOND)


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def both(signal) -> np.ndarray:
    """One signal (T,) on x and y, (T, 2)."""
    return np.stack([signal, signal], axis=1)


def constants(printer: Printer, axis: int) -> tuple[float, float, float]:
    """Mass, stiffness and damping of an axis."""
    return printer.mass_kg[axis], printer.stiffness_n_m[axis], printer.damping_ns_m[axis]


def constant_speed(speed: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    time = np.arange(int(seconds * RATE) + 1) / RATE
    return both(speed * time), both(np.full_like(time, speed))


def smooth_command(seconds=1.0, seed=0, rate=RATE) -> tuple[np.ndarray, np.ndarray, list]:
    """A sum of sines per axis, starting at rest, as position, velocity and their functions."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate) + 1) / rate
    functions, position, velocity = [], [], []
    for _ in range(2):
        omega, size = 2 * np.pi * rng.uniform(0.5, 12.0, 4), rng.uniform(5.0, 40.0, 4)
        functions.append(lambda t, o=omega, s=size: np.sin(np.multiply.outer(t, o)) @ s)
        position.append((1 - np.cos(np.multiply.outer(time, omega))) @ (size / omega))
        velocity.append(functions[-1](time))
    return np.stack(position, axis=1), np.stack(velocity, axis=1), functions


def test_constant_acceleration_leaves_minus_a_over_omega_squared():
    time = np.arange(int(1.5 * RATE) + 1) / RATE
    run = track(SMOOTH, both(250.0 * time**2), both(500.0 * time), RATE)
    np.testing.assert_allclose(run.error_mm[-1], [-0.021875, -0.028125], atol=1e-7)
    np.testing.assert_allclose(np.round(-1000 * run.error_mm[-1], 1), [21.9, 28.1])


def test_natural_frequencies_and_damping_are_those_of_the_design():
    for axis, hertz, ratio in ((0, 24.06, 0.142), (1, 21.22, 0.125)):
        mass, stiffness, damping = constants(DEFAULT, axis)
        omega = np.sqrt(stiffness / mass)
        assert omega / (2 * np.pi) == pytest.approx(hertz, abs=0.005)
        assert damping / (2 * mass * omega) == pytest.approx(ratio, abs=5e-4)


def test_velocity_step_rings_with_first_peak_near_dv_over_omega():
    speed = 10.0
    position, velocity = constant_speed(speed, 0.2)
    rest = PlantState(jnp.zeros(2), jnp.zeros(2))
    mean_v = mean_velocity(position, RATE)
    states, _ = respond(discretize(SMOOTH, RATE), rest, velocity, mean_v)
    for i in (0, 1):
        mass, stiffness, damping = constants(SMOOTH, i)
        omega = np.sqrt(stiffness / mass)
        zeta = damping / (2 * mass * omega)
        peak = speed / omega * np.exp(-zeta / np.sqrt(1 - zeta**2) * np.arccos(zeta))
        assert -states.error_mm[:, i].min() == pytest.approx(peak, rel=2e-3)
        assert 0.8 < peak * omega / speed < 0.85


def test_static_error_doubles_when_stiffness_is_halved():
    time = np.arange(int(3.0 * RATE) + 1) / RATE
    command = both(250.0 * time**2), both(500.0 * time)
    soft, stiff = (
        track(Printer(friction_n=(0.0, 0.0), stiffness_n_m=(k, 8000.0)), *command, RATE)
        for k in (4000.0, 8000.0)
    )
    ratio = soft.error_mm[-1, 0] / stiff.error_mm[-1, 0]
    assert ratio == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("speed", [80.0, -80.0])
def test_constant_speed_leaves_friction_over_stiffness_against_the_motion(speed):
    run = track(DEFAULT, *constant_speed(speed, 3.0), RATE)
    np.testing.assert_allclose(run.error_mm[-1], -np.sign(speed) * 0.1, atol=1e-9)


def test_damping_to_ground_drags_at_constant_speed():
    plant = Printer(friction_n=(0.0, 0.0), damping="ground")
    run = track(plant, *constant_speed(80.0, 3.0), RATE)
    np.testing.assert_allclose(run.error_mm[-1], -15.0 * 80.0 / 8000.0, atol=1e-9)


@pytest.mark.parametrize("plant", [DEFAULT, Printer(damping="ground")])
def test_agrees_with_a_tight_integrator_on_a_smooth_command(plant):
    position, velocity, functions = smooth_command()
    run = track(plant, position, velocity, RATE)
    time = np.arange(len(position)) / RATE
    for i in (0, 1):
        mass, stiffness, damping = constants(plant, i)
        v, k, c = functions[i], stiffness / mass, damping / mass
        force = 1000.0 * plant.friction_n[i] / mass

        def rates(t, state, v=v, k=k, c=c, force=force):
            e, w = state
            slip = w - v(t) if plant.damping == "relative" else w
            return [w - v(t), -k * e - c * slip - force * np.tanh(w / 2.0)]

        start = [0.0, velocity[0, i]]
        truth = solve_ivp(rates, (0, time[-1]), start, "DOP853", time, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(run.error_mm[:, i], truth.y[0], atol=5e-4)  # 0.5 um of 100
        assert np.sqrt(np.mean((run.error_mm[:, i] - truth.y[0]) ** 2)) < 2e-4


def test_linear_part_is_exact_for_polynomial_commands_at_any_step():
    """u of degree 3 is inside the Hermite space: 50 Hz and 2000 Hz agree to rounding."""

    def at(t):
        return both(3 * t - 40 * t**2 + 90 * t**3), both(3 - 80 * t + 270 * t**2)

    fine = track(SMOOTH, *at(np.arange(2001) / RATE), RATE)
    rough = track(SMOOTH, *at(np.arange(51) / 50.0), 50.0)
    np.testing.assert_allclose(rough.error_mm, fine.error_mm[::40], atol=1e-10)


def test_free_motion_is_the_matrix_exponential():
    state = PlantState(jnp.array([0.05, -0.02]), jnp.array([3.0, 7.0]))
    zero = jnp.zeros(2)
    after = plant_step(discretize(SMOOTH, RATE), state, zero, zero, zero)
    for i in (0, 1):
        m, stiffness, damping = constants(SMOOTH, i)
        free = np.array([[0.0, 1.0], [-stiffness / m, -damping / m]])
        expected = expm(free / RATE) @ [state.error_mm[i], state.velocity_mm_s[i]]
        got = [after.error_mm[i], after.velocity_mm_s[i]]
        np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("plant", [SMOOTH, DEFAULT])
def test_energy_only_decays_when_the_command_rests(plant):
    n = 2000
    start = PlantState(jnp.array([0.2, -0.3]), jnp.array([20.0, 0.0]))
    states, _ = respond(discretize(plant, RATE), start, jnp.zeros((n + 1, 2)), jnp.zeros((n, 2)))
    mass = np.array(plant.mass_kg)
    energy = 8000.0 * states.error_mm**2 + mass * states.velocity_mm_s**2
    assert np.all(np.diff(energy, axis=0) <= 1e-12)
    assert np.all(energy[-1] < 1e-4 * energy[0])


def test_step_size_has_converged():
    runs = {}
    for rate in (2000.0, 8000.0):
        position, velocity, _ = smooth_command(rate=rate)
        runs[rate] = track(DEFAULT, position, velocity, rate).error_mm
    difference = runs[2000.0] - runs[8000.0][::4]
    assert np.abs(difference).max() < 5e-4


def test_lanes_are_independent_and_friction_scale_selects_the_linear_plant():
    position, velocity, _ = smooth_command(0.3)
    lanes = np.stack([velocity, 2 * velocity, velocity], axis=1)
    means = mean_velocity(np.stack([position, 2 * position, position], axis=1), RATE)
    scale = np.array([1.0, 1.0, 0.0])[:, None]
    matrices = discretize(DEFAULT, RATE)
    start = initial_state(matrices, jnp.asarray(lanes[0]))
    states, _ = respond(matrices, start, lanes, means, scale)
    alone = track(DEFAULT, position, velocity, RATE).error_mm
    linear = track(SMOOTH, position, velocity, RATE).error_mm
    np.testing.assert_allclose(states.error_mm[:, 0], alone[1:], atol=1e-13)
    np.testing.assert_allclose(states.error_mm[:, 2], linear[1:], atol=1e-13)


def test_blocks_and_decimation_continue_where_they_stopped():
    position, velocity, _ = smooth_command(0.4)
    mean_v = mean_velocity(position, RATE)
    matrices = discretize(DEFAULT, RATE)
    state = initial_state(matrices, jnp.asarray(velocity[0]))
    whole, _ = respond(matrices, state, velocity, mean_v)
    parts = []
    for first in (0, 400):
        block = slice(first, first + 401)
        states, state = respond(
            matrices, state, velocity[block], mean_v[first : first + 400], every=20
        )
        parts.append(states.error_mm)
    np.testing.assert_allclose(np.concatenate(parts), whole.error_mm[19::20], atol=1e-14)
    with pytest.raises(ValueError, match="every = 3 does not divide"):
        respond(matrices, state, velocity, mean_v, every=3)


def test_gradient_through_the_command_matches_finite_differences():
    position, velocity, _ = smooth_command(0.1)
    shape = np.sin(np.arange(len(position)) / 9.0)[:, None] * np.array([1.0, -0.5])
    slope = np.gradient(shape, axis=0) * RATE

    def cost(size):
        moved = jnp.asarray(position + size * shape)
        run = track(DEFAULT, moved, velocity + size * slope, RATE)
        return jnp.sum((run.error_mm + size * shape) ** 2)

    step = 1e-5
    numeric = (cost(0.01 + step) - cost(0.01 - step)) / (2 * step)
    assert jax.grad(cost)(0.01) == pytest.approx(float(numeric), rel=1e-6)


def test_single_precision_follows_the_dtype_and_stays_close():
    position, velocity, _ = smooth_command()
    double = track(DEFAULT, position + 200.0, velocity, RATE).error_mm
    single = track(DEFAULT, position + 200.0, velocity.astype(np.float32), RATE).error_mm
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, double, atol=2e-5)


def omegas(printer, axis):
    """Angular frequencies, damping ratios and shares of an axis's modes."""
    main = np.sqrt(printer.axis_stiffness_n_m[axis] / printer.mass_kg[axis])
    ratio = printer.axis_damping_ns_m[axis] / (2 * printer.mass_kg[axis] * main)
    w = np.array([main, 2 * np.pi * printer.second_frequency_hz[axis]])
    z = np.array([ratio, printer.second_damping_ratio[axis]])
    return w, z, np.array([printer.main_share[axis], printer.second_share[axis]])


def at_rest_then(speed_mm_s, printer, seconds, rate=RATE):
    """The head's error after the motors start at once, from rest."""
    time = np.arange(round(seconds * rate) + 1) / rate
    velocity = np.tile(np.asarray(speed_mm_s, float), (len(time), 1))
    matrices = discretize(printer, rate)
    start = initial_state(matrices, jnp.zeros(2))
    # What follows the motor stiffly is as fast as it from the first instant on.
    start = start._replace(velocity_mm_s=jnp.asarray(printer.stiff_share) * velocity[0])
    states, _ = respond(matrices, start, velocity, mean_velocity(velocity * time[:, None], rate))
    return time[1:], np.asarray(states.error_mm)


def test_constant_acceleration_leaves_the_sum_of_the_modes():
    time = np.arange(round(3.0 * RATE) + 1)[:, None] / RATE
    accel = np.array([500.0, -300.0])
    run = track(Printer(friction_n=(0.0, 0.0), **SECOND), accel * time**2 / 2, accel * time, RATE)
    for axis in (0, 1):
        w, _, share = omegas(TWO_MODES, axis)
        assert run.error_mm[-1, axis] == pytest.approx(
            -accel[axis] * np.sum(share / w**2), abs=1e-9
        )


def test_each_mode_rings_at_its_frequency():
    printer = Printer(friction_n=(0.0, 0.0), **SECOND)
    time, error = at_rest_then([10.0, 10.0], printer, 0.5)
    for axis in (0, 1):
        w, z, share = omegas(printer, axis)
        wd = w * np.sqrt(1 - z**2)
        each = np.exp(-z * w * time[:, None]) * np.sin(wd * time[:, None]) / wd
        np.testing.assert_allclose(error[:, axis], -10.0 * each @ share, atol=1e-10)


@pytest.mark.parametrize("printer", [Printer(), TWO_MODES, COREXY, BOTH])
@pytest.mark.parametrize("speed", [(80.0, 80.0), (-60.0, 25.0), (0.0, 90.0)])
def test_constant_speed_leaves_the_friction_of_the_motors_that_turn(printer, speed):
    _, error = at_rest_then(speed, printer, 4.0)
    turned = np.tanh(to_motors(printer, np.array(speed)) / printer.friction_velocity_mm_s)
    expected = -friction_stretch_mm(printer) @ turned
    np.testing.assert_allclose(error[-1], expected, atol=1e-9)


def test_constant_speed_leaves_force_over_stiffness_in_each_belt():
    _, error = at_rest_then((70.0, 20.0), COREXY, 4.0)
    belts = to_motors(COREXY, error[-1])
    np.testing.assert_allclose(belts, [-1000 * 0.8 / 8000, -1000 * 0.3 / 6000], atol=1e-9)


def test_a_second_mode_gives_way_to_friction_too():
    w = 2 * np.pi * 61.0
    expected = 1000 * (1.2 * 0.8 / 8000 + 0.2 * 0.8 / (0.45 * w**2))
    assert friction_stretch_mm(TWO_MODES)[1, 1] == pytest.approx(expected)


def test_constant_acceleration_stretches_both_belts():
    time = np.arange(round(3.0 * RATE) + 1)[:, None] / RATE
    accel = np.array([400.0, 0.0])
    smooth = COREXY.model_copy(update={"friction_n": (0.0, 0.0)})
    run = track(smooth, accel * time**2 / 2, accel * time, RATE)
    belts = to_motors(COREXY, np.asarray(run.error_mm[-1]))
    np.testing.assert_allclose(belts, -0.35 * 400.0 / 2 / np.array([8.0, 6.0]) / 1000, atol=1e-9)


def test_equal_belts_do_not_couple_the_axes():
    even = Printer(kinematics="corexy", friction_n=(0.0, 0.0))
    _, error = at_rest_then((10.0, 0.0), even, 0.3)
    assert np.abs(error[:, 1]).max() < 1e-12 < np.abs(error[:, 0]).max()
    w, z, _ = omegas(even, 0)
    assert w[0] == pytest.approx(np.sqrt(16000.0 / 0.35))
    peak = 10.0 / w[0] * np.exp(-z[0] / np.sqrt(1 - z[0] ** 2) * np.arccos(z[0]))
    assert np.abs(error).max() == pytest.approx(peak, rel=4e-3)


def test_motors_and_back():
    xy = np.random.default_rng(0).standard_normal((4, 3, 2))
    np.testing.assert_array_equal(to_motors(COREXY, xy)[..., 0], xy[..., 0] + xy[..., 1])
    np.testing.assert_array_equal(to_motors(COREXY, xy)[..., 1], xy[..., 0] - xy[..., 1])
    np.testing.assert_allclose(from_motors(COREXY, to_motors(COREXY, xy)), xy, atol=1e-15)
    assert to_motors(Printer(), xy) is xy


@pytest.mark.parametrize("damping", ["relative", "ground"])
def test_agrees_with_a_tight_integrator(damping):
    printer = BOTH.model_copy(update={"damping": damping})
    time = np.arange(round(0.4 * RATE) + 1) / RATE
    omega, size = 2 * np.pi * np.array([3.0, 7.0]), np.array([60.0, 45.0])

    def v(t):
        return size * np.sin(np.multiply.outer(t, omega))

    position = size / omega * (1 - np.cos(np.multiply.outer(time, omega)))
    run = track(printer, position, v(time), RATE)
    mass, pulls = np.array(printer.mass_kg), np.array(printer.pulls)
    k, c = np.array(printer.stiffness_n_m), np.array(printer.damping_ns_m)
    force = 1000.0 * np.array(printer.friction_n)
    main, second = np.array(printer.main_share), np.array(printer.second_share)
    w2 = 2 * np.pi * np.array(printer.second_frequency_hz)
    ratio = np.array(printer.second_damping_ratio)

    def rates(t, state):
        e1, w1, e2, u2 = state.reshape(4, 2)
        head = main * w1 + second * u2 + np.array(printer.stiff_share) * v(t)
        slip1, slip2 = (w1 - v(t), u2 - v(t)) if damping == "relative" else (w1, u2)
        friction = pulls.T @ (force * np.tanh(pulls @ head / 2.0)) / mass
        belts = pulls.T @ (k * (pulls @ e1) + c * (pulls @ slip1)) / mass
        own = w2**2 * e2 + 2 * ratio * w2 * slip2
        changes = (w1 - v(t), -belts - friction, u2 - v(t), -own - np.sign(second) * friction)
        return np.concatenate(changes)

    start = np.zeros(8)
    truth = solve_ivp(rates, (0, time[-1]), start, "LSODA", time, rtol=1e-9, atol=1e-11)
    expected = main * truth.y[:2].T + second * truth.y[4:6].T
    np.testing.assert_allclose(run.error_mm, expected, atol=1e-3)
    assert np.sqrt(np.mean((run.error_mm - expected) ** 2)) < 3e-4


def test_friction_only_takes_energy_away():
    printer, rng = TWO_MODES, np.random.default_rng(1)
    e1, w1, e2, w2 = rng.standard_normal((4, 2)) * [[0.2], [30.0], [0.2], [30.0]]
    main, second = np.array(printer.main_share), np.array(printer.second_share)
    head = jnp.asarray(main * e1 + second * e2), jnp.asarray(main * w1 + second * w2)
    zeros = jnp.zeros((4001, 2))
    start = PlantState(*head, (jnp.asarray(e2), jnp.asarray(w2)))
    states, _ = respond(discretize(printer, RATE), start, zeros, zeros[1:])
    e2, w2 = states.second
    e1, w1 = (states.error_mm - second * e2) / main, (states.velocity_mm_s - second * w2) / main
    mass, w = np.array(printer.mass_kg), 2 * np.pi * np.array(printer.second_frequency_hz)
    energy = main * (np.array(printer.stiffness_n_m) * e1**2 + mass * w1**2)
    energy += abs(second) * mass * (w**2 * e2**2 + w2**2)
    assert np.all(np.diff(energy, axis=0) <= 1e-9)
    assert np.all(energy[-1] < 1e-4 * energy[0])


def test_what_is_printed_moves_with_the_bed():
    printer = Printer(bed_axis="y")
    assert printer.loaded(1000.0).mass_kg == (0.35, pytest.approx(0.45 + 0.002983, abs=1e-6))
    assert Printer().loaded(1000.0) == Printer()
    heavy = printer.with_mass_on_bed(0.45 * 3.0)
    slow, fast = (np.sqrt(one.stiffness_n_m[1] / one.mass_kg[1]) for one in (heavy, printer))
    assert fast / slow == pytest.approx(2.0)
