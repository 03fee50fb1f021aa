"""The trials of a sweep: chosen and remembered in Optuna's journal, which workers share.

Workers on one machine or on several meet in one folder. Locks say which workers live, and a trial
whose worker is gone is queued again.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.samplers import BaseSampler, GridSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from jaxcorr.errors import InputError
from jaxcorr.studies.sweep_spec import Parameter, Sweep, Value
from jaxcorr.training import locks

JOURNAL = "journal.log"
# A process that dies in the middle of a write leaves Optuna's lock behind for this long.
LOCK_GRACE_S = 10
_STATES = {
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class Trial(NamedTuple):
    """One trial as far as it came; figures of its best epoch are None until there is one."""

    number: int
    state: str  # running, waiting, complete, pruned, failed
    values: dict[str, Value]
    mae_mm: float | None  # validation, at the best epoch
    r2: float | None
    best_epoch: int | None
    epochs: int | None
    num_parameters: int | None
    seconds: float | None
    run: str | None  # name of its folder
    reason: str | None  # why it failed


def open_study(sweep: Sweep, folder: Path) -> optuna.Study:
    """The study that all workers of the sweep share; made where there is none.

    Raises:
        InputError: the folder cannot be used, its journal is damaged, or it holds another sweep.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _exclusive(folder):
            study = _load_study(sweep, folder)
            _refuse_other(study, sweep, folder)
    except OSError as error:
        raise refused_write(error, folder) from None
    return study


def list_trials(study: optuna.Study) -> list[Trial]:
    """All trials by number; a trial that was queued again is listed once."""
    known = study.get_trials(deepcopy=False)
    retried = _retried(known)
    rows = [describe(trial) for trial in known if trial.number not in retried]
    return sorted(rows, key=lambda row: row.number)


def describe(trial: FrozenTrial) -> Trial:
    """A trial as a row of the sweep's table."""
    attributes = trial.user_attrs
    return Trial(
        number=first_number(trial),
        state=_STATES[trial.state],
        values=dict(trial.params),
        **{name: attributes.get(name) for name in Trial._fields[3:]},
    )


def first_number(trial: FrozenTrial) -> int:
    """The trial's number, or that of the first one that it repeats."""
    return next(iter(_history(trial)), trial.number)


def _load_study(sweep: Sweep, folder: Path) -> optuna.Study:
    path = str((folder / JOURNAL).absolute())
    lock = JournalFileOpenLock(path, grace_period=LOCK_GRACE_S)
    _mend_journal(Path(path))
    pruner = (
        optuna.pruners.MedianPruner(n_warmup_steps=sweep.settings.pruning_warmup_epochs + 1)
        if sweep.settings.pruning
        else optuna.pruners.NopPruner()
    )
    try:
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(path, lock_obj=lock)),
            pruner=pruner,
            study_name=sweep.name,
            load_if_exists=True,
        )
    except (ValueError, KeyError) as error:
        raise InputError(
            f"{folder / JOURNAL}: expected a sweep's journal, got '{error}'. Move the folder away "
            "and begin again."
        ) from None


def _mend_journal(path: Path) -> None:
    """Cuts off a last line that a power failure or a full disk left without its end."""
    lock = JournalFileOpenLock(str(path), grace_period=LOCK_GRACE_S)
    lock.acquire()
    try:
        content = path.read_bytes() if path.exists() else b""
        if content and not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)
    finally:
        lock.release()


def _refuse_other(study: optuna.Study, sweep: Sweep, folder: Path) -> None:
    """A sweep goes on only with the spec that it began with; the number of trials may change."""
    sections = {k: v for k, v in sweep.table["sweep"].items() if k != "trials"}
    now = {"sweep": sections, "base": sweep.base_table}
    known = study.user_attrs.get("specs")
    if known is None:
        study.set_user_attr("specs", now)
        return
    before, after = _flat(known), _flat(now)
    changed = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
    if changed:
        raise InputError(
            f"{folder}: expected the sweep that it began with, got changes in "
            f"{', '.join(changed[:5])}. Give the sweep's file another name, or move the folder."
        )


def _flat(table: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in table.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{above}{name}.") if inner else {f"{above}{name}": value}
    return flat


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Keeps other workers from choosing a trial in the meantime."""
    lock = JournalFileOpenLock(str((folder / "choice").absolute()), grace_period=LOCK_GRACE_S)
    lock.acquire()
    try:
        yield
    finally:
        # RuntimeError: it took so long that another worker has taken the lock.
        with contextlib.suppress(RuntimeError):
            lock.release()


def lock_path(folder: Path, worker: str) -> Path:
    return folder / "workers" / f"{worker}.lock"


def refused_write(error: OSError, folder: Path) -> InputError:
    return InputError(
        f"{error.filename or folder}: expected a folder that can be written, got "
        f"'{error.strerror}'. Mend its permissions, or make room; then start the sweep again."
    )


def next_trial(study: optuna.Study, sweep: Sweep, folder: Path, worker: str) -> optuna.Trial | None:
    """The next trial with its values; None when all have been given out."""
    with _exclusive(folder):
        _queue_dead(study, folder)
        trials = study.get_trials(deepcopy=False)
        is_waiting = any(trial.state == TrialState.WAITING for trial in trials)
        if not is_waiting and len(trials) - len(_retried(trials)) >= sweep.num_trials:
            return None
        # A seed of its own for each choice: two workers never choose alike, and a sweep that was
        # interrupted chooses as one that was not.
        study.sampler = _make_sampler(sweep, len(trials))
        trial = study.ask()
        trial.set_user_attr("worker", worker)
        for parameter in sweep.parameters:
            _suggest(trial, parameter)
        return trial


def _queue_dead(study: optuna.Study, folder: Path) -> None:
    """Queues the running trials of workers that are gone, under the values that they had."""
    locks.remove_dead(folder / "workers")
    trials = study.get_trials(deepcopy=False)
    retried = _retried(trials)
    for trial in trials:
        worker = trial.user_attrs.get("worker")
        if trial.state != TrialState.RUNNING:
            continue
        if worker is not None and locks.holder(lock_path(folder, worker)):
            continue
        if trial.number not in retried:
            study.add_trial(_repeat(trial))
        study.tell(trial.number, state=TrialState.FAIL)


def _repeat(trial: FrozenTrial) -> FrozenTrial:
    """The same trial, waiting for a worker; the history makes Optuna's own tools see it too."""
    history = {"retry_history": [*_history(trial), trial.number]}
    return optuna.create_trial(
        state=TrialState.WAITING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs | history,
    )


def _retried(trials: Sequence[FrozenTrial]) -> set[int]:
    return {number for trial in trials for number in _history(trial)}


def _history(trial: FrozenTrial) -> list[int]:
    return trial.system_attrs.get("retry_history", [])


class _Grid(GridSampler):
    """Optuna's grid, for trials that are asked for one by one: only `Study.optimize` can stop."""

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        pass


def _make_sampler(sweep: Sweep, num_before: int) -> BaseSampler:
    if sweep.settings.sampler == "grid":
        return _Grid({p.key: p.choices for p in sweep.parameters}, seed=sweep.settings.seed)
    return TPESampler(seed=sweep.settings.seed + num_before, constant_liar=True)


def _suggest(trial: optuna.Trial, parameter: Parameter) -> None:
    if parameter.range is None:
        trial.suggest_categorical(parameter.key, parameter.choices)
        return
    low, high, log = parameter.range.low, parameter.range.high, parameter.range.log
    if parameter.is_integer:
        trial.suggest_int(parameter.key, int(low), int(high), log=log)
    else:
        trial.suggest_float(parameter.key, low, high, log=log)
