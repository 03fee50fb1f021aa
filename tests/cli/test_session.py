"""Around a training: one process for each run, curves however it ends, one clean stop."""

import os
import signal
import subprocess
import sys
import time

import jax
import oscillator
import pytest

from jaxcorr.cli import session
from jaxcorr.errors import InputError
from jaxcorr.training import history, hosts, locks, loop, run_folder

ROW = (
    '{"epoch": 1, "step": 9, "train_loss": 1.0, "train_mae_mm": 0.1, "grad_norm": 1.0, '
    '"weight_norm": 1.0, "learning_rate": 0.1}\n'
)


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

    monkeypatch.setattr(history, "draw", refuse)
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


CODE = """\
import resource
import jax
from jaxcorr.cli import session
session.COMMON_S = 0.0
session.keep()
resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, {most_bytes}))
print(jax.jit(lambda x: x @ x + {addend})(jax.numpy.ones((3, 3)))[0, 0])
"""


def compute(home, addend=1, most_bytes=-1):
    """Runs a process with this home; returns what it wrote to stdout and stderr.

    Args:
        most_bytes: that a file may have, -1 for any number.
    """
    names = os.environ.keys() - {"JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(addend=addend, most_bytes=most_bytes)],
        capture_output=True,
        text=True,
        env={name: os.environ[name] for name in names} | {"HOME": str(home)},
        check=True,
    )
    return done.stdout, done.stderr


def entries(home):
    return {path: path.stat().st_mtime_ns for path in home.glob(".cache/jaxcorr/xla/*/*-cache")}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    made = tmp_path_factory.mktemp("home")
    assert compute(made) == ("4.0\n", "")
    return made


def test_next_process_finds_what_one_compiled(home):
    before = entries(home)
    assert before
    assert compute(home) == ("4.0\n", "")
    assert entries(home) == before


def test_damaged_entry_is_compiled_again_without_a_word(home):
    for path in entries(home):
        path.write_bytes(path.read_bytes()[:10])
    assert compute(home) == ("4.0\n", "")


def test_home_that_cannot_be_written_changes_nothing(tmp_path):
    (tmp_path / "home").write_text("a file")
    assert compute(tmp_path / "home") == ("4.0\n", "")


def test_full_disk_changes_nothing(home):
    assert compute(home, addend=2, most_bytes=0) == ("5.0\n", "")


def test_folder_is_the_cache_of_a_person_and_of_a_processor(tmp_path, monkeypatch):
    found = session.find_folder({"XDG_CACHE_HOME": str(tmp_path)})
    assert found.parent == tmp_path / "jaxcorr" / "xla"
    assert session.find_folder({}).parts[-4:-1] == (".cache", "jaxcorr", "xla")
    monkeypatch.setattr(session, "_cpuinfo", lambda: "model name : other\nflags : none\n")
    assert session.find_folder({"XDG_CACHE_HOME": str(tmp_path)}) != found


def test_what_is_old_is_removed(tmp_path):
    old, young = tmp_path / "old", tmp_path / "young"
    for path, days in ((old, session.OLDEST_DAYS + 1), (young, session.OLDEST_DAYS - 1)):
        path.touch()
        os.utime(path, (time.time() - days * 86400,) * 2)
    (tmp_path / "folder").mkdir()
    session._remove_old(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "young"]
