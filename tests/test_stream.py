"""The deployed predictor: equal to evaluation, safe against bad samples, free to go back."""

import numpy as np
import pytest

import jaxcorr
from jaxcorr import Predictor, model, predict, stream
from jaxcorr.errors import InputError
from jaxcorr.runs import Run

NUM = 30


@pytest.fixture(scope="module")
def loaded(trained):
    return stream.load_weights(trained.run)


@pytest.fixture(scope="module")
def shared(loaded):
    return Predictor(loaded.spec, loaded.weights)


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
    expected = predict.stream(loaded.spec, loaded.weights, trained.data.test)
    assert len(expected) > predict.CHUNK
    np.testing.assert_allclose(follow(predictor, rows), expected, atol=1e-5)
    assert np.std(expected) > 1e-2


def test_loads_from_a_folder(trained, predictor, rows):
    other = Predictor.load(trained.run.path)
    np.testing.assert_array_equal(follow(other, rows[:NUM]), follow(predictor, rows[:NUM]))


def test_reset_goes_back_to_the_start(predictor, rows):
    first = follow(predictor, rows[:NUM])
    assert np.any(follow(predictor, rows[:NUM]) != first)
    predictor.reset()
    np.testing.assert_array_equal(follow(predictor, rows[:NUM]), first)


@pytest.mark.parametrize(
    "sample",
    [(1.0, 2.0, 3.0), (1.0,) * 5, (1.0, float("nan"), 0.0, 0.0), (float("inf"), 0.0, 0.0, 0.0),
     (0.0, 0.0, 0.0, -1e30)],
)  # fmt: skip
def test_refuses_a_bad_sample_and_keeps_its_state(predictor, rows, sample):
    follow(predictor, rows[:5])
    before = predictor.carry
    with pytest.raises(InputError, match=r"step: expected finite x_ref, .* within 1e\+06, got \("):
        predictor.step(*sample)
    np.testing.assert_array_equal(predictor.carry, before)


def test_carry_can_be_kept_and_assigned(predictor, rows):
    follow(predictor, rows[:5])
    kept = predictor.carry
    first = follow(predictor, rows[5:NUM])
    predictor.carry = kept
    np.testing.assert_array_equal(follow(predictor, rows[5:NUM]), first)
    for wrong in (kept[:-1], np.full_like(kept, np.nan)):
        with pytest.raises(InputError, match="carry: expected finite values of shape"):
            predictor.carry = wrong


def test_looks_ahead_without_moving(predictor, rows):
    follow(predictor, rows[:5])
    before = predictor.carry
    ahead = predictor.predict_ahead(rows[5:NUM])
    np.testing.assert_array_equal(predictor.carry, before)
    np.testing.assert_allclose(ahead, follow(predictor, rows[5:NUM]), atol=1e-6)


@pytest.mark.parametrize("block", [np.zeros((0, 4)), np.zeros(4), np.full((2, 4), np.nan)])
def test_refuses_to_look_ahead_at_nothing_or_nonsense(predictor, block):
    with pytest.raises(InputError, match="predict_ahead: expected finite samples"):
        predictor.predict_ahead(block)


def test_functional_form_is_traced_once_and_may_go_back(loaded, predictor, rows, monkeypatch):
    traces = []
    real_step = model.step
    monkeypatch.setattr(model, "step", lambda *a: traces.append(1) or real_step(*a))
    step = stream.make_step(loaded.spec)
    carry, errors = model.carry_for(loaded.spec, 2), []
    for row in rows[:NUM]:
        kept = carry
        carry, error = step(loaded.weights, carry, np.stack([row, row]))
        errors.append(error)
    assert len(traces) == 1
    np.testing.assert_allclose(np.array(errors)[:, 1], follow(predictor, rows[:NUM]), atol=1e-6)
    _, again = step(loaded.weights, kept, np.stack([rows[NUM - 1]] * 2))
    np.testing.assert_array_equal(again, errors[-1])


def test_predictor_is_traced_once(loaded, rows, monkeypatch):
    traces = []
    real_step = model.step
    monkeypatch.setattr(model, "step", lambda *a: traces.append(1) or real_step(*a))
    fresh = Predictor(loaded.spec, loaded.weights)
    follow(fresh, rows[:5])
    fresh.reset()
    fresh.carry = fresh.carry
    follow(fresh, rows[:5])
    assert len(traces) == 1


def test_weights_say_how_far_training_got(loaded, trained):
    history = trained.run.history.read_text().splitlines()
    assert loaded.is_finished
    assert 1 <= loaded.best_epoch <= len(history) == trained.spec.train.epochs


def test_a_missing_run_and_a_missing_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected one run, got none"):
        Predictor.load(tmp_path / "runs" / "nothing")
    with pytest.raises(InputError, match=r"resolved.json: expected a readable file"):
        stream.load_weights(Run(tmp_path))
    with pytest.raises(AttributeError, match="no attribute 'Predicter'"):
        _ = jaxcorr.Predicter
