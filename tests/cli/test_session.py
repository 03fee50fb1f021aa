"""Around a training: one process for each run, curves however it ends, one clean stop."""

import os
import signal
import sys

import jax
import oscillator
import pytest

from jaxcorr import plotting
from jaxcorr.cli import session
from jaxcorr.errors import InputError
from jaxcorr.training import hosts, locks, loop, run_folder

ROW = '{"epoch": 1, "train_loss": 1.0, "train_mae_mm": 0.1, "learning_rate": 0.1}\n'


@pytest.fixture
def begun(layers, tmp_path):
    made = oscillator.begin(layers, tmp_path)
    made.run.history.write_text(ROW)
    return made


def test_curves_are_drawn_and_the_run_is_let_go(begun):
    done = loop.Finished("interrupted", 1, 0.1)
    assert session.follow_quietly(begun, iter([done])) == done
    assert {"curves.png", "curves.svg"} <= {path.name for path in begun.run.path.iterdir()}
    assert locks.holder(begun.run.path / locks.TRAINING) is None


def test_curves_are_drawn_when_training_fails(begun):
    def diverge():
        yield loop.EpochDone({"epoch": 1}, 1.0, True)
        raise loop.NonFiniteLoss("nan")

    with pytest.raises(loop.NonFiniteLoss):
        session.follow_quietly(begun, diverge())
    assert (begun.run.path / "curves.png").exists()


def test_loss_of_another_process_is_one_line_and_the_end(begun, monkeypatch, capsys):
    def lose():
        yield loop.EpochDone({"epoch": 1}, 1.0, True)
        raise jax.errors.JaxRuntimeError("UNKNOWN: Gloo all-reduce failed\nand more")

    with pytest.raises(jax.errors.JaxRuntimeError):
        session.follow_quietly(begun, lose())
    monkeypatch.setattr(session, "_show", session.follow_quietly)
    monkeypatch.setattr(hosts, "is_alone", lambda: False)
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit, match="1"):
        session.follow(begun, lose())
    printed = capsys.readouterr().err
    assert "expected all processes to go on, got 'UNKNOWN: Gloo all-reduce failed'." in printed
    assert printed.count("\n") == 1
    assert locks.holder(begun.run.path / locks.TRAINING) is None


def test_run_is_not_trained_twice_at_once(begun):
    with (
        locks.hold(begun.run.path / locks.TRAINING),
        pytest.raises(InputError, match=f"process {os.getpid()} on .* does. Wait for it, or stop"),
    ):
        session.follow(begun, iter([]))


def test_full_disk_costs_the_curves_alone(begun, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plotting, "draw_history", refuse)
    session.draw_curves(begun.run)
    assert "no curves drawn, No space left on device" in capsys.readouterr().err


def test_run_without_an_epoch_has_no_curves(tmp_path):
    session.draw_curves(run_folder.Run(tmp_path))
    assert not list(tmp_path.iterdir())


def test_first_interrupt_asks_and_the_second_stops():
    requested = session.catch_interrupt()
    signal.raise_signal(signal.SIGINT)
    assert requested == [signal.SIGINT]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
