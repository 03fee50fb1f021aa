"""Hyperparameter sweep: runs of one base spec with keys changed, by any number of workers.

A trial is an ordinary run in the sweep's folder; one whose worker died goes on from its checkpoint.
"""

import os
import platform
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optuna
from jaxtyping import Bool, Float
from numpy import ndarray
from optuna.trial import FrozenTrial, TrialState

from jaxcorr import plotting
from jaxcorr import spec as specs
from jaxcorr.errors import InputError
from jaxcorr.studies import trials
from jaxcorr.studies.sweep_spec import Sweep, override
from jaxcorr.studies.trainings import Follow
from jaxcorr.training import devices, experiment, locks, loop, run_folder
from jaxcorr.training.experiment import Experiment
from jaxcorr.training.run_folder import Run

MOST_TICKS = 6  # a column with more different numbers gets an axis of numbers


def work(
    sweep: Sweep,
    folder: Path,
    follow: Follow,
    should_stop: Callable[[], bool],
    num_workers: int = 1,
) -> Iterator[trials.Trial]:
    """Runs trials until there is none left, and yields each as it ends.

    Args:
        folder: of this sweep; other workers may be at work in it.
        follow: runs through a training's events and returns the last one.
        should_stop: True saves the running trial, leaves it to the next worker and returns.
        num_workers: of this machine, this one counted; they share its cores.
    Raises:
        InputError: the data is refused, or the disk has no room.
    """
    shared = trials.open_study(sweep, folder)
    worker = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    try:
        (folder / "workers").mkdir(exist_ok=True)
        with locks.hold(trials.lock_path(folder, worker)):
            while not should_stop():
                trial = trials.next_trial(shared, sweep, folder, worker)
                if trial is None:
                    return
                watch = _Watch(trial, should_stop)
                if _run_trial(watch, shared, sweep, folder, follow, num_workers):
                    yield trials.describe(_freeze(shared, trial))
                # Each trial compiles its own network; kept, they add 15 MiB a trial for ever.
                jax.clear_caches()
    except OSError as error:
        raise trials.refused_write(error, folder) from None


def draw(
    values: Mapping[str, Sequence[Any]],
    mae_um: Float[ndarray, " trials"],
    is_complete: Bool[ndarray, " trials"],
    path: Path,
) -> None:
    """Draws the MAE of each trial against each swept key; pruned trials are hollow.

    Args:
        values: key -> its value in each trial. Numbers that span a decade get a logarithmic axis;
            texts and few different numbers get an even one, with the median of each.
        mae_um: best validation MAE of each trial.
        is_complete: false where the trial was pruned.
        path: .png, .svg or .pdf.
    Raises:
        InputError: the ending is none of these, or the folder is not there.
    """
    with plotting.style():
        figure, axes = plotting.tall_figure(path, (7.0, 2.6 * len(values)), (1.0,) * len(values))
        best = int(np.argmin(mae_um))
        for axis, (key, column) in zip(np.atleast_1d(axes), values.items(), strict=True):
            at = _place(axis, column)
            for rows, face in ((is_complete, plotting.PALETTE[0]), (~is_complete, "none")):
                axis.scatter(
                    at[rows], mae_um[rows], s=22, facecolors=face, edgecolors=plotting.PALETTE[0]
                )
            for place in np.unique(at) if axis.get_xscale() == "linear" else ():
                if np.sum(at == place) == 1:
                    continue  # it would hide the trial
                median = np.median(mae_um[at == place])
                axis.plot(place, median, marker="_", ms=26, mew=2, color=plotting.PALETTE[1])
            axis.plot(at[best], mae_um[best], marker="*", ms=15, color=plotting.PALETTE[1])
            axis.set(xlabel=key, ylabel="validation MAE / µm", yscale="log")
            plotting.label_decades(axis.yaxis)
        np.atleast_1d(axes)[0].set_title("star: the best trial; bar: the median of a value")
        plotting.save(figure, path, dpi=plotting.SCREEN_DPI)


def _run_trial(
    watch: "_Watch",
    shared: optuna.Study,
    sweep: Sweep,
    folder: Path,
    follow: Follow,
    num_workers: int,
) -> bool:
    """Trains one trial; False when it was interrupted, or given to another worker meanwhile."""
    trial = watch.trial
    try:
        begun = _begin(_freeze(shared, trial), sweep, folder, num_workers)
        trial.set_user_attr("run", begun.run.id)
        events = loop.fit(begun.spec, begun.data, begun.run, watch.should_stop)
        done = follow(begun, watch.report(events, begun))
    except loop.NonFiniteLoss as error:
        return _fail(shared, trial, str(error))
    except InputError as error:
        # What is said of a swept key, or of memory, is this trial's alone; the rest stops us.
        keys = (*(p.key for p in sweep.parameters), "data.batch_size")
        if not str(error).startswith(tuple(f"{key}:" for key in keys)):
            raise
        return _fail(shared, trial, str(error))
    is_cut_off = done.reason == "interrupted" and not watch.is_pruned
    if is_cut_off or watch.is_lost:
        return False
    for name, value in _summary(begun.run, done).items():
        trial.set_user_attr(name, value)
    if watch.is_pruned:
        shared.tell(trial, state=TrialState.PRUNED)
    else:
        shared.tell(trial, done.best_mae_mm)
    return True


def _fail(shared: optuna.Study, trial: optuna.Trial, reason: str) -> bool:
    trial.set_user_attr("reason", reason)
    shared.tell(trial, state=TrialState.FAIL)
    return True


def _begin(trial: FrozenTrial, sweep: Sweep, folder: Path, num_workers: int) -> Experiment:
    """A new run for the trial, or the one that a worker left behind."""
    name = f"trial-{trials.first_number(trial) + 1:03d}"
    left = [run for run in run_folder.list_all(folder) if run.id.endswith(f"-{name}")]
    if left:
        return experiment.reopen(left[-1])
    changes = [override(key, value) for key, value in trial.params.items()]
    spec = specs.load(sweep.base, changes)
    share = devices.count_for_worker(spec, num_workers)
    if share != spec.train.num_devices:
        changes.append(override("train.num_devices", share))
    changes.append(override("train.name", name))
    return experiment.begin(sweep.base, changes, folder)


def _freeze(shared: optuna.Study, trial: optuna.Trial) -> FrozenTrial:
    return shared.get_trials(deepcopy=False)[trial.number]


class _Watch:
    """Reports a training's epochs to its trial, and tells the training when to stop."""

    def __init__(self, trial: optuna.Trial, should_stop: Callable[[], bool]):
        self.trial, self._should_stop = trial, should_stop
        self.is_pruned = False
        self.is_lost = False

    def should_stop(self) -> bool:
        return self.is_pruned or self.is_lost or self._should_stop()

    def report(self, events: Iterator[loop.Event], begun: Experiment) -> Iterator[loop.Event]:
        """Passes the events on; epochs from before an interruption are reported again."""
        last = begun.spec.train.epochs
        for event in events:
            if isinstance(event, loop.Begun):
                self.trial.set_user_attr("num_parameters", event.num_parameters)
                for record in begun.run.read_history()[: event.epoch]:
                    self._tell(record)
            elif isinstance(event, loop.EpochDone):
                self._tell(event.record)
                # Nothing is saved by stopping after the last epoch.
                is_open = not self.is_lost and event.record["epoch"] < last
                self.is_pruned = bool(is_open and self.trial.should_prune())
            yield event

    def _tell(self, record: Mapping[str, Any]) -> None:
        try:
            self.trial.report(loop.score(record), record["epoch"])
        except optuna.exceptions.UpdateFinishedTrialError:
            # This machine slept for so long that another worker took the trial over.
            self.is_lost = True


def _summary(run: Run, done: loop.Finished) -> dict[str, Any]:
    """What the table shows of a run, from its own records."""
    rows = run.read_history()
    seconds = [row["seconds"] for row in run.read_timings()]
    return {
        "mae_mm": done.best_mae_mm,
        "r2": rows[done.best_epoch - 1].get("val_r2") if rows and done.best_epoch else None,
        "best_epoch": done.best_epoch,
        "epochs": len(rows),
        "seconds": sum(seconds),
    }


def _place(axis: Any, column: Sequence[Any]) -> Float[ndarray, " trials"]:
    """Where each value stands on the axis, whose scale and ticks are set to suit."""
    different = list(dict.fromkeys(column))
    is_number = all(isinstance(value, int | float) for value in different)
    # Drawn at random, no two trials share a value; those of a grid do.
    is_float = any(isinstance(value, float) for value in different)
    is_drawn = is_float and 2 * len(different) > max(len(column), 4)
    if is_number and (is_drawn or len(different) > MOST_TICKS):
        numbers = np.array(column, np.float64)
        if numbers.min() > 0 and np.ptp(np.log10(numbers)) >= 1:
            axis.set_xscale("log")
            plotting.label_decades(axis.xaxis)
        return numbers
    order = sorted(different) if is_number else sorted(different, key=str)
    axis.set_xticks(
        range(len(order)), [f"{v:.4g}" if isinstance(v, float) else str(v) for v in order]
    )
    axis.set_xlim(-0.5, len(order) - 0.5)
    return np.array([order.index(value) for value in column], np.float64)
