"""Records: whole rows only, those of a broken-off run dropped, and readable in TensorBoard."""

import json
import resource

import jax.numpy as jnp
import numpy as np
import oscillator
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jaxcorr.data.batches import Batches
from jaxcorr.errors import InputError
from jaxcorr.training.history import Recorder
from jaxcorr.training.run_folder import Run

BATCHES = Batches(np.zeros((4, 20, 8, 4)), np.zeros((4, 20, 8, 2)), np.zeros((4, 8), int))
GRADIENT = {"head": {"kernel": jnp.arange(6.0)}}


def record(spec, run, epochs, begin=0):
    with Recorder(spec, run, begin, lambda *_: GRADIENT) as recorder:
        for epoch in range(begin + 1, epochs + 1):
            row = {"epoch": epoch, "train_loss": 0.5 / epoch, "val_mae_mm": 0.01, "val_r2": None}
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
    assert not run.tensorboard.exists()


def test_tensorboard_shows_scalars_and_histograms(run):
    spec = oscillator.make_spec(train={"tensorboard": True, "histogram_every_epochs": 2})
    record(spec, run, epochs=3)
    shown = EventAccumulator(str(run.tensorboard)).Reload()
    assert [(e.step, e.value) for e in shown.Scalars("train/loss")] == [
        (1, 0.5), (2, 0.25), (3, pytest.approx(0.5 / 3))
    ]  # fmt: skip
    assert [e.value for e in shown.Scalars("progress/step_ms")] == [200.0] * 3
    assert "val/r2" not in shown.Tags()["scalars"]
    (histogram,) = shown.Histograms("gradient/head/kernel")
    assert (histogram.step, histogram.histogram_value.num) == (2, 6)
    assert shown.Scalars("gradient_norm/head/kernel")[0].value == pytest.approx(55**0.5)


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
