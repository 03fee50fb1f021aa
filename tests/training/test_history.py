"""Records: whole rows only, those of a broken-off run dropped, and readable in TensorBoard."""

import json
import resource
from typing import Any

import jax.numpy as jnp
import numpy as np
import oscillator
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jaxcorr import plotting
from jaxcorr.data.batches import Batches
from jaxcorr.errors import InputError
from jaxcorr.training import history
from jaxcorr.training.history import Recorder
from jaxcorr.training.run_folder import Run

BATCHES = Batches(np.zeros((4, 20, 8, 4)), np.zeros((4, 20, 8, 2)), np.zeros((4, 8), int))
EPOCHS = [
    {
        "epoch": epoch,
        "train_loss": 1.0 / epoch,
        "train_mae_mm": 0.02 / epoch,
        "val_mae_mm": 0.01 + 0.001 * abs(epoch - 4),
        "learning_rate": 1e-3 * (6 - epoch),
    }
    for epoch in range(1, 7)
]
REST = dict.fromkeys(("train_mae_mm", "grad_norm", "weight_norm", "learning_rate"), 0.5)
REST |= {"val_mae_mm": 0.01, "val_rmse_mm": 0.01, "val_r2": None}
GRADIENT = {"head": {"kernel": jnp.arange(6.0)}}


def record(spec, run, epochs, begin=0):
    with Recorder(spec, run, begin, lambda *_: GRADIENT) as recorder:
        for epoch in range(begin + 1, epochs + 1):
            row = {"epoch": epoch, "step": 10 * epoch, "train_loss": 0.5 / epoch} | REST
            recorder.write(row, seconds=2.0, steps=10, state=None, batches=BATCHES)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def limit_file_size(num_bytes):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_a_resume_drops_what_came_after_its_checkpoint(run):
    spec = oscillator.make_spec()
    record(spec, run, epochs=3)
    before = run.history.read_text()
    with run.history.open("a") as file:
        file.write('{"epoch": 4, "train_lo')  # cut short by a crash
    record(spec, run, epochs=3, begin=1)
    assert run.history.read_text() == before
    assert [row["epoch"] for row in rows(run.timings)] == [1, 2, 3]
    timing = {"epoch": 3, "seconds": 2.0, "step_ms": 200.0, "samples_per_s": 800.0}
    assert rows(run.timings)[-1] == timing  # 10 steps of 8 windows of 20 samples in 2 s
    assert not run.boards


def test_tensorboard_shows_scalars_and_histograms(run):
    spec = oscillator.make_spec(train={"tensorboard": True, "histogram_every_epochs": 2})
    record(spec, run, epochs=3)
    history.show_evaluated(run, 2, {"mae_mm": 0.5, "r2": None})
    shown = EventAccumulator(str(run.path)).Reload()
    assert sorted(shown.Tags()["scalars"])[0].startswith("accuracy/")  # as its cards are sorted
    assert [(e.step, e.value) for e in shown.Scalars("evaluated/mae_um")] == [(2, 500.0)]
    assert [(e.step, e.value) for e in shown.Scalars("accuracy/train_loss")] == [
        (1, 0.5), (2, 0.25), (3, pytest.approx(0.5 / 3))
    ]  # fmt: skip
    assert [e.value for e in shown.Scalars("epoch/step_ms")] == [200.0] * 3
    assert "accuracy/val_r2" not in shown.Tags()["scalars"]
    (histogram,) = shown.Histograms("gradient/head/kernel")
    assert (histogram.step, histogram.histogram_value.num) == (2, 6)
    assert shown.Scalars("gradient_norm/head/kernel")[0].value == pytest.approx(55**0.5)
    started = shown.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"optimizer.learning_rate" in started


@pytest.mark.parametrize("has_board", [False, True])
def test_a_full_disk_is_one_line_and_leaves_whole_rows(run, has_board):
    spec = oscillator.make_spec(train={"tensorboard": has_board, "histogram_every_epochs": 1})
    record(spec, run, epochs=2)
    written, soft = len(run.history.read_bytes()), resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    limit_file_size(written + (1000 if has_board else 20))  # the board's file fills up first
    try:
        with pytest.raises(InputError, match="expected to write the run's records") as caught:
            record(spec, run, epochs=20, begin=2)
    finally:
        limit_file_size(soft)
    assert "\n" not in str(caught.value)
    epochs = [row["epoch"] for row in rows(run.history)]
    assert epochs == list(range(1, len(epochs) + 1))
    assert len(epochs) == (3 if has_board else 2)


@pytest.fixture
def figures(monkeypatch) -> list[Any]:
    """The figures drawn, in place of their files."""
    drawn: list[Any] = []
    monkeypatch.setattr(plotting, "save", lambda figure, *_paths, **_options: drawn.append(figure))
    return drawn


def test_history_shows_loss_mae_and_learning_rate(tmp_path, figures):
    history.draw(EPOCHS, tmp_path / "curves.png")
    loss, mae, rate = figures[0].axes
    epochs = [1, 2, 3, 4, 5, 6]
    assert np.array_equal(
        loss.lines[0].get_xydata(), np.c_[epochs, [r["train_loss"] for r in EPOCHS]]
    )
    training, _, validation, best = mae.lines
    val_um = [1e3 * row["val_mae_mm"] for row in EPOCHS]
    assert np.allclose(training.get_ydata(), [1e3 * r["train_mae_mm"] for r in EPOCHS])
    assert np.allclose(validation.get_ydata(), val_um)
    assert validation.get_label() == "validation, best 10.00 µm at 4"
    assert np.allclose(best.get_xydata(), [[4, 10.0]])
    assert np.allclose(rate.lines[0].get_ydata(), [row["learning_rate"] for row in EPOCHS])
    assert [axis.get_ylabel() for axis in (loss, mae, rate)] == [
        "training loss",
        "MAE / µm",
        "learning rate",
    ]


def test_history_without_validation_and_of_one_epoch_is_drawn(tmp_path, figures):
    row = {k: v for k, v in EPOCHS[0].items() if k != "val_mae_mm"}
    history.draw([row], tmp_path / "curves.png")
    line, circle = figures[0].axes[1].lines
    assert line.get_label() == "training, best 20.00 µm at 1"
    assert np.allclose(circle.get_xydata(), [[1, 20.0]])
