"""Compensation by block: as offline where all is known, on time, and honest in its counts."""

import numpy as np
import pytest
from oscillator import RATE_HZ, reference, true_error

from jaxcorr.compensation import solver
from jaxcorr.compensation.compensator import GAIN, Compensator, Status
from jaxcorr.compensation.model_map import ModelMap
from jaxcorr.errors import InputError
from jaxcorr.training import restore

NO_HURRY = {"clock": lambda: 0.0}


@pytest.fixture(scope="module")
def loaded(trained):
    return restore.load_weights(trained.run)


def make(loaded, **changes):
    return Compensator(loaded, **{**NO_HURRY, **changes})


def layer(num_samples, seed=5):
    """A path that ends at rest, as layers do."""
    path = reference(num_samples, seed)
    stop = np.minimum(np.arange(num_samples)[::-1] / 20, 1.0)[:, None]
    speed = path[:, 2:] * stop
    return np.hstack([np.cumsum(speed, axis=0) / RATE_HZ, speed])


def run(compensator, path, ahead):
    """Feeds `ahead` samples, then a block for each block that comes out."""
    compensator.reset()
    fed, blocks = 0, []
    while not blocks or len(blocks[-1]):
        more = path[fed : ahead + sum(map(len, blocks))]
        fed += len(more)
        if len(more):
            compensator.feed(more)
        if fed == len(path):
            compensator.finish()
        blocks.append(compensator.next_block())
    return np.concatenate(blocks)


@pytest.fixture(scope="module")
def compensator(loaded):
    return make(loaded)


@pytest.mark.parametrize("per_knot", [1, 2])
def test_streaming_equals_offline_where_the_window_covers_the_layer(loaded, per_knot):
    data = loaded.spec.data.model_copy(update={"knot_rate_hz": RATE_HZ / per_knot})
    loaded = loaded._replace(spec=loaded.spec.model_copy(update={"data": data}))
    path = layer(70)
    covering = make(loaded, lookahead_ms=800.0, block_ms=100.0)
    assert (covering.block, covering.lookahead) == (10, 81 - per_knot)
    commands = run(covering, path, 70)
    rest = np.tile(path[-1] * [1, 1, 0, 0], (11 - per_knot, 1))
    model = ModelMap(loaded)
    whole = np.concatenate([path, rest])
    options = model.options._replace(gain=GAIN)
    knots = solver.solve(
        model.error_fn(whole), model.response, 80 // per_knot, model.knot_rate_hz, options
    ).knots
    assert commands.shape == path.shape
    np.testing.assert_allclose(commands - path, model.moved(knots)[:70], atol=1e-6 * RATE_HZ)
    np.testing.assert_allclose((commands - path)[:, :2], model.moved(knots)[:70, :2], atol=1e-6)
    assert np.abs(knots).max() > 0.01
    assert covering.status == Status(7, 7)


def test_a_long_layer_is_nearly_as_good_by_block_as_offline(loaded, compensator):
    path = layer(300)
    commands = run(compensator, path, 30)
    assert commands.shape == path.shape
    knots = commands[:, :2] - path[:, :2]
    model = ModelMap(loaded)
    options = model.options._replace(gain=GAIN)
    offline = solver.solve(model.error_fn(path), model.response, 300, RATE_HZ, options)
    left = [
        np.sqrt(np.mean(model.error_fn(path)(k) ** 2))
        for k in (np.zeros((300, 2)), knots, offline.knots)
    ]
    assert left[1] < 0.35 * left[0]
    assert compensator.status.num_blocks == 30
    assert compensator.status.num_compensated > 25
    # What goes out has the speed of its own curve.
    slope = (commands[2:, :2] - commands[:-2, :2] - path[2:, :2] + path[:-2, :2]) * RATE_HZ / 2
    np.testing.assert_allclose(commands[1:-1, 2:] - path[1:-1, 2:], slope, atol=1e-9)
    assert true_error(path, knots) < 0.9 * true_error(path, np.zeros((300, 2)))


def test_feeding_in_other_portions_changes_nothing(compensator):
    path = layer(120)
    whole = run(compensator, path, 120)
    status = compensator.status
    np.testing.assert_array_equal(run(compensator, path, 30), whole)
    assert compensator.status == status


def test_without_time_the_reference_goes_out_and_is_counted(loaded):
    ticks = iter(range(10**6))
    slow = make(loaded, clock=lambda: 0.2 * next(ticks))
    path = layer(100)
    np.testing.assert_allclose(run(slow, path, 100), path, atol=1e-12)
    assert slow.status.num_late == slow.status.num_blocks == 10
    assert slow.status.num_compensated == 0
    assert slow.status.slowest_s > 0.1
    # Of a layer that is known at once nothing is late.
    assert np.abs(slow.compensate(path) - path).max() > 1e-3
    assert (slow.status.num_late, slow.status.num_hurried) == (0, 0)
    assert slow.status.num_compensated > 0


def test_a_clock_that_stops_the_solver_keeps_what_the_window_before_has_found(loaded):
    now, step = [0.0], [0.0]

    def clock():
        now[0] += step[0]
        return now[0]

    compensator = make(loaded, clock=clock)
    path = layer(300)
    compensator.feed(path)
    compensator.finish()
    for _ in range(3):
        compensator.next_block()
    step[0] = 1.0
    compensator.next_block()
    assert compensator.status.num_hurried == 1
    assert compensator.status.num_compensated == 4
    assert compensator.status.slowest_s >= 1.0


def test_a_block_that_is_not_trusted_fades_the_correction_out(compensator):
    path = layer(300)
    path[40:] += np.random.default_rng(0).uniform(-20, 20, (260, 4))
    knots = run(compensator, path, 30)[:, :2] - path[:, :2]
    assert compensator.status.num_compensated > 0
    assert np.abs(knots[10:30]).max() > 0.01
    np.testing.assert_allclose(knots[60:], 0.0, atol=1e-12)
    # Without a jump: no knot is further from the one before than a fade within a block takes.
    first = 10 * compensator.status.num_compensated
    start = np.abs(knots[first])
    assert np.all(np.abs(np.diff(knots[first:], axis=0)).max(axis=0) <= 0.2 * start + 1e-12)


def test_knots_that_no_step_betters_are_sent(loaded):
    """A window begins with the knots of the one before, which may be as good as they get."""
    options = ModelMap(loaded).options._replace(gain=-1.0, most_steps=500)  # until no step helps
    patient = make(loaded, options=options)
    patient.feed(layer(300)[:60])
    window = patient._window()
    patient._knots, reasons = patient._solve(window, np.inf)
    assert reasons == ("compensated",)
    again, reasons = patient._solve(window, np.inf)
    assert reasons == ("compensated",)
    np.testing.assert_array_equal(again, patient._knots)


def test_the_gate_closes_on_garbage(compensator):
    garbage = np.random.default_rng(1).uniform(-150, 150, (100, 4))
    out = run(compensator, garbage, 100)
    np.testing.assert_array_equal(out, garbage)
    status = compensator.status
    assert status.num_compensated == 0
    assert status.num_distrusted + status.num_unconverged == status.num_blocks == 10


def test_a_plan_that_is_short_of_the_window_is_taken_as_going_on(compensator):
    path = layer(100)
    compensator.reset()
    compensator.feed(path[:11])
    block = compensator.next_block()
    assert block.shape == (10, 4)
    with pytest.raises(InputError, match=r"expected 11 planned samples or more, got 1\."):
        compensator.next_block()
    compensator.feed(path[11:])
    compensator.finish()
    assert len(compensator.next_block()) == 10


def test_refusals(loaded, compensator):
    compensator.reset()
    assert len(run(compensator, np.zeros((0, 4)), 0)) == 0
    compensator.reset()
    for bad in ([[1.0, 2.0, 3.0]], [[np.nan] * 4], [1.0, 2.0, 3.0, 4.0]):
        with pytest.raises(InputError, match=r"^feed: expected finite rows of x, y, vx, vy"):
            compensator.feed(bad)
    compensator.finish()
    with pytest.raises(InputError, match=r"^feed: expected no samples after finish"):
        compensator.feed(np.zeros((1, 4)))
    with pytest.raises(InputError, match=r"^compensator: expected block_ms of a knot"):
        make(loaded, lookahead_ms=100.0, block_ms=100.0)


def test_loads_from_a_run(trained):
    compensator = Compensator.load(trained.run.path, lookahead_ms=200.0, block_ms=50.0)
    assert (compensator.lookahead, compensator.block) == (20, 5)


def test_a_whole_layer_is_what_its_blocks_are(compensator):
    path = layer(60)
    by_block = run(compensator, path, 60)
    np.testing.assert_array_equal(compensator.compensate(path), by_block)
    assert compensator.compensate(path[:0]).shape == (0, 4)
