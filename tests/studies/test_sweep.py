"""A sweep ends with every trial run once, whatever happens to its workers on the way."""

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
import oscillator
import processes
import pytest
import tomli_w
import toy

from jaxcorr import files, plotting
from jaxcorr.cli import session
from jaxcorr.cli import sweep as console_sweep
from jaxcorr.errors import InputError
from jaxcorr.studies import sweep, sweep_spec
from jaxcorr.studies import trials as study
from jaxcorr.studies.sweep_spec import Sweep
from jaxcorr.training import devices, loop, restore, run_folder, test_set
from jaxcorr.training.experiment import Experiment

RATES = [1e-4, 1e-3, 1e-2]
SPACE = {"optimizer.learning_rate": RATES, "model.hidden_size": [4, 8]}
CHEAP = {"train.patience": [0, 50, 51]}  # changes nothing that is compiled


def write(folder: Path, layers: str, space: dict, epochs: int = 3, **keys: object) -> Path:
    sections = {"train": {"epochs": epochs, "patience": 0}}
    (folder / "base.toml").write_text(tomli_w.dumps(oscillator.make_table(layers, **sections)))
    table = {"base": str(folder / "base.toml"), "sampler": "grid", "space": space} | keys
    (folder / "some.toml").write_text(tomli_w.dumps({"sweep": table}))
    return folder / "some.toml"


def drain(_begun: Experiment, events: Iterator[loop.Event]) -> loop.Finished:
    *_, last = events
    assert isinstance(last, loop.Finished)
    return last


def run_all(
    loaded: Sweep, folder: Path, follow: sweep.Follow = drain, stop: Callable[[], bool] = bool
) -> list[study.Trial]:
    return list(sweep.work(loaded, folder, follow, stop))


OTHERS = ("train_loss", "grad_norm", "weight_norm", "learning_rate")  # of a row


def learn_nothing(
    spec: Any, data: Any, run: run_folder.Run, should_stop: Callable[[], bool]
) -> Any:
    """Stands in for `train.fit`: the MAE is the learning rate, the loss of 1e-2 is not finite."""
    del data
    rate = spec.optimizer.learning_rate
    if rate == 1e-2:
        raise loop.NonFiniteLoss(f"{run.path}: expected a finite loss, got nan.")
    rows = run.read_history()
    yield loop.Begun(None, 10, len(rows), (), 1)  # pyright: ignore[reportArgumentType]
    for epoch in range(len(rows) + 1, spec.train.epochs + 1):
        errors = {"val_mae_mm": rate, "train_mae_mm": rate, "val_r2": 0.5}
        rows.append({"epoch": epoch, "step": epoch} | dict.fromkeys(OTHERS, 1.0) | errors)
        files.write_text(run.history, "".join(json.dumps(row) + "\n" for row in rows))
        yield loop.EpochDone(rows[-1], 0.1, epoch == 1)
        if should_stop() and epoch < spec.train.epochs:
            yield loop.Finished("interrupted", 1, rate)
            return
    yield loop.Finished("epochs", 1, rate)


@pytest.fixture(autouse=True)
def keep_compiled(monkeypatch):
    """What a short sweep has compiled may stay for the next test."""
    monkeypatch.setattr(jax, "clear_caches", lambda: None)


@pytest.fixture
def no_training(monkeypatch):
    monkeypatch.setattr(loop, "fit", learn_nothing)
    monkeypatch.setattr(test_set, "keep", lambda *_: None)  # baselines, 2 s a trial


def test_trials_are_ordinary_runs_and_a_finished_sweep_does_nothing(tmp_path, layers):
    loaded = sweep_spec.load(write(tmp_path, layers, {"train.patience": [0, 9]}))
    folder = tmp_path / "runs" / "sweeps" / "some"
    trials = run_all(loaded, folder, session.follow_quietly)
    assert [trial.state for trial in trials] == ["complete"] * 2
    assert sorted(trial.values["train.patience"] for trial in trials) == [0, 9]
    for trial in trials:
        run = run_folder.find(str(folder / str(trial.run)))
        rows = run.read_history()
        assert trial.mae_mm == min(row["val_mae_mm"] for row in rows)
        assert trial.epochs == len(rows) == 3
        assert run.spec().train.patience == trial.values["train.patience"]
        assert restore.load_weights(run).best_epoch == trial.best_epoch
        assert (run.path / "curves.png").exists()
    assert run_folder.find(f"{folder}/latest").id == trials[-1].run
    assert [row.state for row in run_folder.list_runs(folder)] == ["trained", "trained"]
    assert run_all(loaded, folder) == []


@pytest.mark.usefixtures("no_training")
def test_bad_trials_are_pruned_failed_ones_do_not_end_the_sweep(tmp_path, layers):
    good = [1e-4, 1.1e-4, 1.2e-4]
    space = {"optimizer.learning_rate": [*good, 1e-3, 1e-2], "model.hidden_size": [4, 8, 12]}
    path = write(tmp_path, layers, space, epochs=9, pruning_warmup_epochs=4)
    trials = run_all(sweep_spec.load(path), tmp_path / "sweep")
    states = Counter((t.values["optimizer.learning_rate"], t.state) for t in trials)
    assert states[1e-4, "complete"] == 3
    assert states[1e-2, "failed"] == 3
    assert states[1e-3, "pruned"] >= 1
    assert sum(states.values()) == 15
    for trial in trials:
        if trial.state == "pruned":
            # Four epochs are spared, the fifth is the first to be judged.
            assert trial.epochs == 5
            assert trial.mae_mm == trial.values["optimizer.learning_rate"]
        if trial.state == "failed":
            assert "expected a finite loss, got nan." in str(trial.reason)
    path = write(tmp_path, layers, SPACE, epochs=9, pruning=False)
    states = Counter(trial.state for trial in run_all(sweep_spec.load(path), tmp_path / "all"))
    assert states == {"complete": 4, "failed": 2}


@pytest.mark.usefixtures("no_training")
def test_only_mistakes_of_swept_keys_are_the_trials_own(tmp_path, layers):
    loaded = sweep_spec.load(write(tmp_path, layers, {"data.window": [20, 4000]}))
    states = {t.values["data.window"]: t for t in run_all(loaded, tmp_path / "sweep")}
    assert states[20].state == "complete"
    assert states[4000].state == "failed"
    assert "data.window: expected at most" in str(states[4000].reason)
    bad = sweep_spec.load(write(tmp_path, f"{tmp_path}/none/*.mat", {"data.window": [20]}))
    with pytest.raises(InputError, match="none"):
        run_all(bad, tmp_path / "other")


def test_interrupted_trial_goes_on_where_it_was(tmp_path, layers):
    loaded = sweep_spec.load(write(tmp_path, layers, {"train.patience": [0]}))
    (whole,) = run_all(loaded, tmp_path / "whole")
    seen: list[loop.Event] = []

    def follow(_begun: Experiment, events: Iterator[loop.Event]) -> loop.Finished:
        for event in events:
            seen.append(event)
        assert isinstance(seen[-1], loop.Finished)
        return seen[-1]

    def is_epoch_over() -> bool:
        return any(isinstance(event, loop.EpochDone) for event in seen)

    folder = tmp_path / "cut"
    assert run_all(loaded, folder, follow, is_epoch_over) == []
    assert [row.state for row in study.list_trials(study.open_study(loaded, folder))] == ["running"]
    (trial,) = run_all(loaded, folder)
    assert len(run_folder.list_all(folder)) == 1
    assert (trial.number, trial.mae_mm, trial.epochs) == (0, whole.mae_mm, whole.epochs)
    histories = [
        (run_folder.find(f"{tmp_path / n}/latest").history).read_text() for n in ("cut", "whole")
    ]
    assert histories[0] == histories[1]


@pytest.mark.usefixtures("no_training")
def test_trial_that_another_worker_took_over_is_let_go(tmp_path, layers):
    """As after a night in which this machine slept: its lock went stale and the trial was given."""
    loaded = sweep_spec.load(write(tmp_path, layers, {"optimizer.learning_rate": [1e-4]}, 9))
    folder = tmp_path / "sweep"

    def follow(_begun: Experiment, events: Iterator[loop.Event]) -> loop.Finished:
        for event in events:
            if isinstance(event, loop.EpochDone) and event.record["epoch"] == 3:
                for lock in (folder / "workers").iterdir():
                    lock.unlink()
                others = study.open_study(loaded, folder)
                with study._exclusive(folder):
                    study._queue_dead(others, folder)
            if isinstance(event, loop.Finished):
                return event
        raise AssertionError

    (trial,) = run_all(loaded, folder, follow)
    assert (trial.state, trial.number, trial.epochs) == ("complete", 0, 9)
    states = [t.state.name for t in study.open_study(loaded, folder).trials]
    assert states == ["FAIL", "COMPLETE"]
    assert len(run_folder.list_all(folder)) == 1


def test_workers_share_a_sweep_and_survive_the_death_of_one(
    run, monkeypatch, tmp_path, layers, is_thorough
):
    path = write(tmp_path, layers, CHEAP, epochs=12, pruning=False)
    loaded, folder = sweep_spec.load(path), tmp_path / "runs" / "sweeps" / "some"
    monkeypatch.setattr(console_sweep, "_run_worker", toy.run_worker)
    if not is_thorough:  # what a started process imports takes 2 s each
        monkeypatch.setattr(console_sweep.multiprocessing, "get_context", lambda _: processes.FORKS)
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_a_worker_in_training, folder)
        runs = tmp_path / "runs"
        code, out, err = run("sweep", path, "--workers", "2", "--runs", runs, "--json")
        killed = killing.result()
    assert code == 1, err
    assert f"worker {killed} was killed; the same command goes on with its trial" in err
    # The other worker did that already, in the trial's own folder: one for each trial.
    trials = json.loads(out)["trials"]
    assert run_all(loaded, folder) == []
    assert [trial["state"] for trial in trials] == ["complete"] * 3
    assert sorted(t["values"]["train.patience"] for t in trials) == CHEAP["train.patience"]
    assert all(trial["epochs"] == 12 for trial in trials)
    made = run_folder.list_all(folder)
    assert sorted(run.id for run in made) == sorted(t["run"] for t in trials)
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert {run.resolved().num_devices for run in made} == {devices.count_useful(8, share)}
    found = study.open_study(loaded, folder).trials
    assert len({trial.user_attrs["worker"] for trial in found}) == 2
    assert sum(trial.state.name == "FAIL" for trial in found) == 1
    assert {"table.md", "sweep.png", "sweep.svg"} <= {path.name for path in folder.iterdir()}


def kill_a_worker_in_training(folder: Path) -> int:
    """Waits until two trainings run at once, kills one with SIGKILL; returns its process."""
    deadline = time.monotonic() + processes.LONGEST_S
    while time.monotonic() < deadline:
        locks = [
            path for run in run_folder.list_all(folder) for path in run.path.glob("train.lock")
        ]
        owner = re.search(r"pid=(\d+)", locks[0].read_text()) if len(locks) == 2 else None
        if owner:
            worker = int(owner[1])
            os.kill(worker, signal.SIGKILL)
            return worker
        time.sleep(0.02)
    raise AssertionError("two trainings never ran at once")


@pytest.mark.usefixtures("no_training")
def test_table_lists_the_best_first(tmp_path, layers, capsys):
    loaded = sweep_spec.load(write(tmp_path, layers, SPACE))
    folder = tmp_path / "sweep"
    run_all(loaded, folder)
    trials = study.list_trials(study.open_study(loaded, folder))
    files = console_sweep.write_sweep(loaded, trials, folder)
    text = (folder / "table.md").read_text()
    lines = text.splitlines()
    assert lines[2].startswith("| # | hidden_size | learning_rate | val MAE um |")
    assert [line.split(" | ")[2] for line in lines[4:]] == sorted(
        [str(rate) for rate in (0.0001, 0.001, 0.01) for _ in range(2)]
    )
    console_sweep.show_sweep(loaded, trials, folder, files)
    shown = capsys.readouterr().out
    assert "6 of 6 trials have ended (" in shown
    assert "learning_rate 0.0001: 0.10 um" in shown


@pytest.fixture
def figures(monkeypatch) -> list[Any]:
    """The figures drawn, in place of their files."""
    drawn: list[Any] = []
    monkeypatch.setattr(plotting, "save", lambda figure, *_paths, **_options: drawn.append(figure))
    return drawn


def test_sweep_shows_each_trial_over_each_key(tmp_path, figures):
    rates = [1e-4, 3e-4, 1e-3, 2e-3, 4e-3, 7e-3, 1e-2, 1e-2]
    values = {"a.rate": rates, "b.size": [32, 8, 8, 32, 8, 32, 8, 32], "c.loss": ["b", "a"] * 4}
    mae_um = np.array([9.0, 8.0, 7.0, 5.0, 6.0, 8.0, 9.0, 20.0])
    is_complete = np.array([True] * 6 + [False] * 2)
    sweep.draw(values, mae_um, is_complete, tmp_path / "sweep.png")
    rate, size, loss = figures[0].axes
    assert [axis.get_xlabel() for axis in figures[0].axes] == list(values)
    assert rate.get_xscale() == "log"
    points = np.concatenate([dots.get_offsets() for dots in rate.collections])
    assert np.allclose(points, np.c_[rates, mae_um])
    assert [len(dots.get_offsets()) for dots in rate.collections] == [6, 2]
    assert len(rate.collections[1].get_facecolors()) == 0
    for axis, labels in ((size, ["8", "32"]), (loss, ["a", "b"])):
        assert [tick.get_text() for tick in axis.get_xticklabels()] == labels
    # Sizes stand at 0 (8) and 1 (32); a median for each, then the star of the best.
    medians = [tuple(line.get_xydata()[0]) for line in size.lines]
    assert medians == [(0.0, 7.5), (1.0, 8.5), (1.0, 5.0)]


def test_numbers_drawn_at_random_have_an_axis_of_numbers(tmp_path, figures):
    rates = [0.001000263392431129, 1e-4, 2.5e-2]
    sweep.draw({"a.rate": rates}, np.array([3.0, 1.0, 2.0]), np.full(3, True), tmp_path / "s.png")
    (axis,) = figures[0].axes
    assert axis.get_xscale() == "log"
    assert np.allclose(axis.collections[0].get_offsets()[:, 0], rates)


def test_sweep_over_one_key_is_drawn(tmp_path):
    sweep.draw({"a.x": [1, 2]}, np.array([1.0, 2.0]), np.full(2, True), tmp_path / "s.png")
    assert Path(tmp_path / "s.png").stat().st_size > 1000
