"""The deployed predictor: equal to evaluation, safe against bad samples, free to go back."""

import logging
import pickle
import tracemalloc

import jax
import numpy as np
import pytest

import jaxcorr
from jaxcorr import Predictor
from jaxcorr.deploy.compiled_step import MOST_BRIDGED_S
from jaxcorr.errors import InputError
from jaxcorr.models import bulk, network
from jaxcorr.training import checkpoint, restore

NUM = 30
WRONG = {
    "missing": (1.0, 2.0, 3.0),
    "text": ("1.0", 0.0, 0.0, 0.0),
    "none": (None, 0.0, 0.0, 0.0),
    "bool": (True, 0.0, 0.0, 0.0),
    "complex": (1j, 0.0, 0.0, 0.0),
    "array": (np.zeros(4), 0.0, 0.0, 0.0),
    "row": (np.zeros(4),),
}
BAD = {
    "nan": (1.0, float("nan"), 0.0, 0.0),
    "infinite": (float("inf"), 0.0, 0.0, 0.0),
    "outside": (5e4, 0.0, 0.0, 0.0),
    "too fast": (0.0, 0.0, 0.0, -1e30),
}


@pytest.fixture(scope="module")
def loaded(trained):
    return restore.load_weights(trained.run)


@pytest.fixture(scope="module")
def make(loaded):
    return lambda **options: Predictor(loaded, **options)


@pytest.fixture(scope="module")
def shared(make):
    return make()


@pytest.fixture
def predictor(shared):
    shared.reset()
    return shared


@pytest.fixture(scope="module")
def rows(trained):
    return trained.data.test.features


def follow(predictor, rows):
    return np.array([predictor.step(*row) for row in rows.tolist()])


def test_agrees_with_evaluation_over_a_whole_trace(loaded, predictor, rows, trained):
    expected = bulk.stream(loaded.spec, loaded.weights, trained.data.test)
    assert len(expected) > bulk.CHUNK
    np.testing.assert_allclose(follow(predictor, rows), expected, atol=1e-5)
    assert np.std(expected) > 1e-2


def test_loads_from_a_folder(trained, predictor, rows):
    other = Predictor.load(trained.run.path)
    np.testing.assert_array_equal(follow(other, rows[:NUM]), follow(predictor, rows[:NUM]))
    assert jaxcorr.InputError is InputError
    with pytest.raises(AttributeError, match="no attribute 'Predicter'"):
        _ = jaxcorr.Predicter


def test_reset_goes_back_to_the_start(predictor, rows):
    first = follow(predictor, rows[:NUM])
    predictor.carry = predictor.carry
    assert np.any(follow(predictor, rows[:NUM]) != first)
    predictor.reset()
    np.testing.assert_array_equal(follow(predictor, rows[:NUM]), first)


def test_start_is_as_if_the_history_had_been_stepped_through(predictor, rows):
    expected = follow(predictor, rows[:NUM])[5:]
    predictor.start(rows[:5])
    np.testing.assert_array_equal(follow(predictor, rows[5:NUM]), expected)
    bad = np.array(rows[:5])
    bad[3] = np.nan
    with pytest.raises(InputError, match=r"^start: row 3: expected"):
        predictor.start(bad)
    with pytest.raises(InputError, match=r"^samples: expected real numbers of shape \(t, 4\)"):
        predictor.start(bad[0])


@pytest.mark.parametrize("sample", BAD.values(), ids=BAD)
def test_strict_refuses_a_bad_sample_and_keeps_its_state(predictor, rows, sample):
    follow(predictor, rows[:5])
    before, steps = predictor.carry, predictor.status.num_steps
    with pytest.raises(InputError, match=r"^step: expected .*, got .* The state is unchanged; "):
        predictor.step(*sample)
    np.testing.assert_array_equal(predictor.carry, before)
    assert predictor.status.num_steps == steps
    ahead = predict_from(predictor, rows[5:NUM])
    np.testing.assert_array_equal(follow(predictor, rows[5:NUM]), ahead)


def predict_from(predictor, rows):
    """What follows from the state as it is, from a predictor that went back afterwards."""
    kept = predictor.carry
    errors = follow(predictor, rows)
    predictor.carry = kept
    return errors


@pytest.fixture(scope="module")
def holding(make):
    return make(mode="hold")


@pytest.mark.parametrize("sample", WRONG.values(), ids=WRONG)
def test_hold_bridges_no_call_that_is_wrong_in_form(holding, rows, sample):
    follow(holding, rows[:5])
    before, status = holding.carry, holding.status
    with pytest.raises(InputError, match=r"^step: expected .* one by one"):
        holding.step(*sample)
    assert holding.status == status
    np.testing.assert_array_equal(holding.carry, before)


def test_arrays_without_axes_are_numbers(holding, rows):
    holding.reset()
    plain = follow(holding, rows[:5])
    holding.reset()
    again = [holding.step(*map(np.array, row)) for row in rows[:5].tolist()]
    np.testing.assert_array_equal(again, plain)


def test_pickling_says_what_to_do_instead(holding):
    with pytest.raises(TypeError, match="load the run in the other process"):
        pickle.dumps(holding)


def test_a_forked_process_is_told_to_begin_by_itself(trained, monkeypatch):
    monkeypatch.setattr(checkpoint, "_READERS", {1})
    with pytest.raises(InputError, match=r"got one that was forked\. Start it with .*spawn"):
        Predictor.load(trained.run.path)


@pytest.mark.parametrize("sample", BAD.values(), ids=BAD)
def test_hold_returns_the_last_good_value_and_counts_it(holding, rows, sample):
    holding.reset()
    last = follow(holding, rows[:10])[-1]
    before = holding.status
    assert holding.step(*sample) == tuple(last)
    after = holding.status
    assert (after.num_held, after.num_steps) == (before.num_held + 1, before.num_steps)
    assert "expected" in after.last_problem


def test_hold_bridges_a_gap_and_begins_anew_after_a_long_one(holding, rows):
    holding.reset()
    whole = follow(holding, rows[:60])
    holding.reset()
    assert holding.step(*BAD["nan"]) == (0.0, 0.0)  # nothing is known yet
    follow(holding, rows[:20])
    holding.step(*BAD["nan"])
    bridged = follow(holding, rows[21:60])
    # One sample guessed at constant speed is soon forgotten.
    assert np.max(np.abs(bridged[25:] - whole[46:])) < 0.05 * np.std(whole)
    restarts = holding.status.num_restarts
    for _ in range(round(MOST_BRIDGED_S * holding.spec.data.sample_rate_hz) + 5):
        assert holding.step(*BAD["nan"]) == tuple(bridged[-1])
    assert holding.status.num_restarts == restarts + 1
    again = follow(holding, rows[:60])
    np.testing.assert_array_equal(again, whole)


@pytest.mark.parametrize(("model_hz", "rate_hz"), [(100.0, 200.0), (250.0, 250.0), (5.0, 5.0)])
def test_hold_bridges_as_long_at_every_rate(loaded, model_hz, rate_hz):
    data = loaded.spec.data.model_copy(update={"sample_rate_hz": model_hz})
    slower = loaded._replace(spec=loaded.spec.model_copy(update={"data": data}))
    holding = Predictor(slower, rate_hz=rate_hz, mode="hold")
    num_phases = round(rate_hz / model_hz)
    for _ in range(num_phases):
        holding.step(0.0, 0.0, 0.0, 0.0)
    num_bridged = 0
    while not holding.status.num_restarts:
        holding.step(*BAD["nan"])
        num_bridged += 1
    # Less than a sample of the model is not to be had, and bridges one.
    assert num_bridged - 1 == num_phases * max(1, round(MOST_BRIDGED_S * model_hz))


def test_a_jump_is_refused_until_the_printer_is_said_to_be_moved(predictor, rows):
    follow(predictor, rows[:5])
    jumped = rows[5:NUM] + np.array([20, 0, 0, 0], np.float32)
    with pytest.raises(InputError, match=r"expected x_ref to move by .* or reset\(\) first"):
        predictor.step(*jumped[0].tolist())
    predictor.reset()
    assert np.isfinite(follow(predictor, jumped)).all()


def test_beyond_training_is_predicted_and_flagged(make, rows):
    fresh = make()
    fresh.step(*rows[0].tolist())
    assert fresh.status.num_flagged == 0
    fresh.reset()
    speed = 2 * float(rows[:, 2].max()) + 100
    fresh.step(0.0, 0.0, speed, 0.0)
    status = fresh.status
    assert status.num_flagged == 1
    assert 50 < status.outside["vx_ref"] < speed


def test_carry_can_be_kept_and_assigned(predictor, rows):
    follow(predictor, rows[:5])
    kept = predictor.carry
    first = follow(predictor, rows[5:NUM])
    predictor.carry = kept
    np.testing.assert_array_equal(follow(predictor, rows[5:NUM]), first)
    for wrong in (kept[:-1], np.full_like(kept, np.nan), kept.astype(str), "state"):
        with pytest.raises(InputError, match="carry: expected finite values of shape"):
            predictor.carry = wrong


def test_forks_give_what_each_future_gives_alone(predictor, make, rows):
    other = make()
    follow(predictor, rows[:10])
    other.carry = predictor.carry
    one, two = rows[10:NUM], rows[10:NUM] * np.array([1, 1, 0.5, 1], np.float32)
    np.testing.assert_array_equal(follow(other, one), follow(predictor, one))
    predictor.reset()
    follow(predictor, rows[:10])
    assert np.any(predictor.predict_ahead(one) != predictor.predict_ahead(two * [1, 1, 2, 1])) == 0


@pytest.mark.parametrize("num", [1, 31, 32, 33, 200])
def test_looks_ahead_without_moving(predictor, rows, num):
    follow(predictor, rows[:5])
    before = predictor.carry
    ahead = predictor.predict_ahead(rows[5 : 5 + num])
    np.testing.assert_array_equal(predictor.carry, before)
    np.testing.assert_allclose(ahead, follow(predictor, rows[5 : 5 + num]), atol=1e-6)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (np.zeros((0, 4)), r"expected real numbers of shape \(t, 4\), got float64 of shape \(0, 4"),
        (np.zeros(4), r"got float64 of shape \(4,\)"),
        ([[0, 0, 0, 0], [0, 0]], r"expected real numbers of shape"),
        ([["a", 0, 0, 0]], r"expected real numbers of shape"),
        (np.zeros((2, 4), np.bool_), r"got bool of shape"),
        (np.full((2, 4), np.nan), r"predict_ahead: row 0: expected a finite x_ref, got nan"),
        ([[0.0] * 4, [90.0, 0, 0, 0]], r"predict_ahead: row 1: expected x_ref to move by 0 mm"),
    ],
)
def test_refuses_to_look_ahead_at_nothing_or_nonsense(predictor, block, said):
    with pytest.raises(InputError, match=said):
        predictor.predict_ahead(block)


def test_nothing_compiles_and_nothing_is_traced_after_loading(loaded, rows, monkeypatch, caplog):
    traces = []
    real_step = network.step
    monkeypatch.setattr(network, "step", lambda *a: traces.append(1) or real_step(*a))
    fresh = Predictor(loaded, rate_hz=200.0, mode="hold")
    assert len(traces) == 1
    with jax.log_compiles(), caplog.at_level(logging.DEBUG, logger="jax"):
        jax.jit(lambda x: x + 1)(1.0)
        assert any("ompil" in record.getMessage() for record in caplog.records)
        caplog.clear()
        follow(fresh, rows[[0, 0]])
        for num in (1, 7, 40, 100):
            fresh.predict_ahead(np.repeat(rows[1 : 1 + num], 2, axis=0))
        fresh.step(*BAD["nan"])
        fresh.warm()
        fresh.carry = fresh.carry
        fresh.reset()
        fresh.step(*map(int, rows[0]))
    assert not [r.getMessage() for r in caplog.records if "ompil" in r.getMessage()]
    assert len(traces) == 1


def test_warming_changes_nothing(predictor, rows):
    follow(predictor, rows[:5])
    before = predictor.carry
    predictor.warm()
    np.testing.assert_array_equal(predictor.carry, before)


def test_weights_that_are_no_numbers_are_refused(loaded):
    broken = jax.tree.map(lambda leaf: np.asarray(leaf) * np.nan, loaded.weights.network)
    with pytest.raises(InputError, match=r"weights: expected finite predictions, got \[nan, nan\]"):
        Predictor(loaded._replace(weights=loaded.weights._replace(network=broken)))


@pytest.mark.parametrize("times", [2, 5])
def test_a_higher_rate_is_as_many_streams_at_the_models(make, shared, rows, times):
    fast = make(rate_hz=100.0 * times)
    phases = []
    for shift in range(times):
        shared.reset()
        phases.append(follow(shared, rows[shift * 7 : shift * 7 + NUM]))
    mixed = np.stack([rows[i * 7 : i * 7 + NUM] for i in range(times)], axis=1).reshape(-1, 4)
    expected = np.stack(phases, axis=1).reshape(-1, 2)
    np.testing.assert_allclose(follow(fast, mixed[:13]), expected[:13], atol=1e-6)
    kept = fast.carry
    assert kept.shape == (times, shared.carry.size)
    np.testing.assert_allclose(fast.predict_ahead(mixed[13:]), expected[13:], atol=1e-6)
    np.testing.assert_allclose(follow(fast, mixed[13:]), expected[13:], atol=1e-6)
    fast.carry = kept
    np.testing.assert_allclose(follow(fast, mixed[13:]), expected[13:], atol=1e-6)


@pytest.mark.parametrize("rate_hz", [50.0, 150.0, 0.0, -100.0, float("nan")])
def test_other_rates_are_refused(make, rate_hz):
    with pytest.raises(InputError, match=r"rate_hz: expected a whole multiple of the model's 100"):
        make(rate_hz=rate_hz)


def test_many_steps_do_not_drift_and_take_no_memory(loaded, predictor, trained, is_thorough):
    """`jaxcorr bench endurance` runs a million."""
    num = 30_000 if is_thorough else 10_000
    # A Lissajous figure as fast as the toy's paths, that never repeats.
    t, sizes, turns = np.arange(num)[:, None] / 100, np.array([10, 8]), np.array([5.1, 7.3])
    path = np.hstack([sizes * np.sin(turns * t), sizes * turns * np.cos(turns * t)])
    samples = trained.data.test._replace(
        features=path.astype(np.float32),
        targets=np.zeros((num, 2), np.float32),
        first_row=np.zeros(1, np.int64),
        num_rows=np.array([num]),
    )
    expected = bulk.stream(loaded.spec, loaded.weights, samples)
    follow(predictor, path[:-3000])
    rest, last = path[-3000:].tolist(), None
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for row in rest:
        last = predictor.step(*row)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < len(rest)  # bytes: not one a step
    np.testing.assert_allclose(last, expected[-1], atol=1e-5)
