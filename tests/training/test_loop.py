"""Training: it learns, stops when it should, and goes on as if nothing had happened."""

import errno
import threading

import jax
import numpy as np
import oscillator
import pytest
from histories import LIVELY, assert_same, final_state, rows

from jaxcorr.errors import InputError
from jaxcorr.models.scales import fit_scales
from jaxcorr.training import checkpoint, experiment, loop, step
from jaxcorr.training.loop import Begun, Dispatched, EpochDone, Finished, NonFiniteLoss


@pytest.fixture(scope="module")
def lively(layers, tmp_path_factory):
    begun = oscillator.begin(layers, tmp_path_factory.mktemp("lively"), **LIVELY)
    oscillator.fit(begun)
    return begun


def test_it_learns_and_tells_what_happens(fitted):
    trained, events = fitted
    history = rows(trained)
    assert [row["epoch"] for row in history] == list(range(1, 13))
    residual_mm = trained.data.val.targets - trained.data.train.targets.mean(axis=0)
    assert history[-1]["val_mae_mm"] < 0.85 * np.abs(residual_mm).mean()
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]
    assert history[-1]["val_r2"] > 0.3
    assert history[-1]["step"] == 12 * history[0]["step"]
    assert isinstance(events[0], Begun)
    assert events[0].plan.steps_per_epoch == history[0]["step"] == 16
    kinds = [type(event) for event in events[1:-1]]
    assert kinds == ([Dispatched] * 4 + [EpochDone]) * 12
    best = min(e.record["val_mae_mm"] for e in events if isinstance(e, EpochDone))
    assert events[-1] == Finished("epochs", 12, best)


def test_same_seed_is_the_same_history_bit_for_bit(lively, layers, tmp_path):
    again = oscillator.begin(layers, tmp_path, **LIVELY)
    oscillator.fit(again)
    assert_same(again, lively)


def test_interrupted_and_resumed_equals_uninterrupted(lively, layers, tmp_path):
    begun = oscillator.begin(layers, tmp_path, **LIVELY)
    for dispatches in (1, 3, 2):  # an epoch has 4: within the first, at its end, within the second
        asked = iter([False] * (dispatches - 1) + [True])
        events = oscillator.fit(begun, should_stop=lambda asked=asked: next(asked))
        assert events[-1].reason == "interrupted"
        assert sum(isinstance(event, Dispatched) for event in events) == dispatches
    assert oscillator.fit(begun)[-1].reason == "epochs"
    assert_same(begun, lively)


def test_a_damaged_newest_checkpoint_costs_only_time(lively, layers, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    begun = oscillator.begin(layers, tmp_path, **LIVELY)
    asked = iter([False] * 5 + [True])
    oscillator.fit(begun, should_stop=lambda: next(asked))
    newest = begun.run.checkpoints / str(checkpoint.steps(begun.run.checkpoints)[-1])
    largest = max(newest.rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    largest.write_bytes(largest.read_bytes()[:-10])
    events = oscillator.fit(begun)
    assert len(events[0].skipped) == 1
    assert str(newest) in events[0].skipped[0]
    assert_same(begun, lively)
    assert len(checkpoint.steps(begun.run.checkpoints)) == begun.spec.train.keep_checkpoints


def test_resuming_a_finished_run_changes_nothing(lively):
    before = {path: path.stat().st_mtime_ns for path in lively.run.checkpoints.rglob("*")}
    for _ in range(2):
        events = oscillator.fit(lively)
        assert [type(event) for event in events] == [Begun, Finished]
        assert events[-1].reason == "epochs"
    assert {path: path.stat().st_mtime_ns for path in lively.run.checkpoints.rglob("*")} == before


def test_a_kill_during_the_first_save_starts_anew(lively, layers, tmp_path):
    begun = oscillator.begin(layers, tmp_path, **LIVELY)
    (begun.run.checkpoints / "4.orbax-checkpoint-tmp").mkdir(parents=True)
    assert oscillator.fit(begun)[0].epoch == 0
    assert_same(begun, lively)


def script_validation(monkeypatch, *mae_mm):
    values = iter(mae_mm)
    monkeypatch.setattr(loop, "validate", lambda *_: {"val_mae_mm": next(values)})


def test_patience_counts_epochs_without_a_better_one(layers, tmp_path, monkeypatch):
    begun = oscillator.begin(layers, tmp_path, train={"patience": 2})
    script_validation(monkeypatch, 0.3, 0.2, 0.25, 0.1, 0.2, 0.1)
    asked = iter([False] * 10 + [True])  # in the third epoch: patience survives a resume
    assert oscillator.fit(begun, should_stop=lambda: next(asked))[-1].reason == "interrupted"
    events = oscillator.fit(begun)
    assert events[-1] == Finished("patience", 4, 0.1)
    assert [e.is_best for e in events if isinstance(e, EpochDone)] == [False, True, False, False]
    saved = final_state(begun)
    differs = jax.tree.map(lambda a, b: np.any(a != b), saved.best.network, saved.state.network)
    assert any(jax.tree.leaves(differs))  # the best is the fourth epoch's, not the last one's


def test_without_validation_the_training_mae_decides(layers, tmp_path):
    split = {"train": 0.8, "val": 0.0, "test": 0.2}
    begun = oscillator.begin(layers, tmp_path, data={"split": split})
    events = oscillator.fit(begun)
    scores = [row["train_mae_mm"] for row in rows(begun)]
    assert "val_mae_mm" not in rows(begun)[0]
    assert events[-1] == Finished("epochs", 1 + int(np.argmin(scores)), min(scores))


def test_validation_by_window_leaves_the_first_samples_out(trained):
    state, scales = final_state(trained).state, fit_scales(trained.spec, trained.data.train)
    weights = loop.weights_of(state, scales, {})
    streamed = loop.validate(trained.spec, weights, trained.data)
    by_window = oscillator.make_spec(train={"validation": "window"})
    windowed = loop.validate(by_window, weights, trained.data)
    assert windowed["val_mae_mm"] != streamed["val_mae_mm"]
    assert windowed["val_mae_mm"] == pytest.approx(streamed["val_mae_mm"], rel=0.3)


def test_scales_come_from_the_training_split_alone(trained):
    scales = fit_scales(trained.spec, trained.data.train)
    samples = trained.data.train
    np.testing.assert_allclose(scales.targets.std, samples.targets.std(axis=0), rtol=1e-4)
    traces = np.split(samples.features, samples.first_row[1:])
    steps = np.concatenate([np.diff(t, axis=0, prepend=t[:1]) for t in traces])
    np.testing.assert_allclose(scales.inputs.mean[2:], steps.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(
        scales.inputs.std[:2], samples.features[:, 2:].std(axis=0), rtol=1e-4
    )


def test_a_loss_that_is_not_finite_names_steps_traces_and_checkpoint(layers, tmp_path):
    wild = {"learning_rate": 1e9, "weight_decay": 1e9, "clip_norm": 0.0, "warmup_fraction": 0.0}
    begun = oscillator.begin(layers, tmp_path, optimizer=wild)
    with pytest.raises(NonFiniteLoss) as caught:
        oscillator.fit(begun)
    text = str(caught.value)
    assert (
        "weight norm inf at step 2 (of steps 1 to 4), with windows of data_simulation_toy" in text
    )
    assert "Last good checkpoint: none. Lower optimizer.learning_rate" in text
    assert "\n" not in text


def test_non_finite_validation_stops_before_it_is_saved(layers, tmp_path, monkeypatch):
    begun = oscillator.begin(layers, tmp_path)
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    script_validation(monkeypatch, 0.1, float("nan"))
    with pytest.raises(NonFiniteLoss, match=r"MAE nan after step 32\. Last .*: step 28\."):
        oscillator.fit(begun)
    assert len(rows(begun)) == 1


@pytest.mark.parametrize(
    ("text", "kind", "rule"),
    [
        ("RESOURCE_EXHAUSTED: Out of memory", InputError, r"batch_size: expected .*, got 8 win"),
        ("INTERNAL: something else", jax.errors.JaxRuntimeError, "something else"),
    ],
)
def test_out_of_device_memory_is_one_line(layers, tmp_path, monkeypatch, text, kind, rule):
    def fail(*_):
        raise jax.errors.JaxRuntimeError(text)

    begun = oscillator.begin(layers, tmp_path)
    monkeypatch.setattr(step, "make_dispatch", lambda *_: fail)
    with pytest.raises(kind, match=rule):
        oscillator.fit(begun)


def test_a_folder_that_refuses_checkpoints_is_one_line(layers, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    begun = oscillator.begin(layers, tmp_path)
    monkeypatch.setattr(checkpoint.ocp, "CheckpointManager", refuse)
    with pytest.raises(InputError, match=r"checkpoints: expected .*, got 'Permission denied'"):
        oscillator.fit(begun)


def test_two_trainings_at_once_get_two_folders(layers, tmp_path):
    first = oscillator.begin(layers, tmp_path)
    begun, how = [first], (tmp_path / "toy.toml", [], first.run.path.parent)
    threads = [
        threading.Thread(target=lambda: begun.append(experiment.begin(*how))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.run.path for one in begun}) == 3


def test_a_batch_larger_than_the_training_set_leaves_no_folder(layers, tmp_path):
    with pytest.raises(InputError, match=r"batch_size: expected at most the \d+ training windows"):
        oscillator.begin(layers, tmp_path, data={"batch_size": 10**4})
    assert not (tmp_path / "runs").exists()
