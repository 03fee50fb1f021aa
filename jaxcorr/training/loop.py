"""The training loop: epochs, validation, early stopping, checkpoints and history.

`fit` is a generator of what happened; it prints nothing, so any caller can show progress in its own
way.
"""

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxcorr import files
from jaxcorr import run_records as records
from jaxcorr.data.batches import Batches, Plan, plan_for, training_batches
from jaxcorr.data.dataset import Dataset
from jaxcorr.errors import InputError
from jaxcorr.metrics import measure
from jaxcorr.models import bulk
from jaxcorr.models import network as model
from jaxcorr.models.network import Variables, Weights
from jaxcorr.models.normalize import Scales
from jaxcorr.models.scales import fit_scales
from jaxcorr.run_records import Progress
from jaxcorr.spec import Spec
from jaxcorr.training import checkpoint, devices, hosts, path_first, run_folder, test_set
from jaxcorr.training import step as update
from jaxcorr.training.history import Keeper
from jaxcorr.training.optimizer import check_memory_error, learning_rate_fn
from jaxcorr.training.run_folder import Run
from jaxcorr.training.step import Totals, TrainState


class Begun(NamedTuple):
    """Training is about to start, or goes on: sizes, and newer checkpoints that were damaged."""

    plan: Plan
    num_parameters: int
    epoch: int
    skipped: tuple[str, ...]
    num_devices: int
    note: str = ""  # on the path beside the network
    is_over: bool = False  # no epoch is left


class Dispatched(NamedTuple):
    """A dispatch of steps is done: means over it."""

    epoch: int
    dispatch: int
    loss: float
    mae_mm: float


class EpochDone(NamedTuple):
    """An epoch is done, validated and recorded."""

    record: dict[str, Any]
    seconds: float
    is_best: bool


class Finished(NamedTuple):
    """Training ended: 'epochs', 'patience' or 'interrupted'."""

    reason: str
    best_epoch: int
    best_mae_mm: float | None
    path: Variables | None = None


class NonFiniteLoss(RuntimeError):
    """The loss became NaN or infinite; the text names steps, traces and the last checkpoint."""


class Start(NamedTuple):
    """What the loop begins with: fresh, or as the checkpoint of `last` has it."""

    state: TrainState
    best: Weights
    progress: Progress
    skipped: tuple[str, ...] = ()
    last: int = -1


Event = Begun | Dispatched | EpochDone | Finished


def fit(
    spec: Spec, data: Dataset, run: Run, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Trains to the end, or on from the run's last checkpoint, and yields what happens.

    Args:
        spec: the experiment.
        data: its splits.
        run: the folder that gets checkpoints and history.
        should_stop: asked after each dispatch; True saves and ends with reason 'interrupted'.
    Raises:
        NonFiniteLoss: the loss, the weights or the predictions became NaN or infinite.
        InputError: the disk or the device has no room, or no checkpoint of the run can be read, or
            the baselines that it keeps are damaged.
    """
    plan = plan_for(spec, data.train)
    path, note = _path_of(spec, data, run)
    limit_mm = fit_scales(spec, data.train).limit_mm  # of whole targets
    data = data._replace(train=path_first.take(spec, path, data.train))
    scales = hosts.arrays_from_writer(fit_scales(spec, data.train)._replace(limit_mm=limit_mm))
    mesh, dispatch_fn, gradient_fn = update.make_programs(spec, scales, plan.steps_per_epoch)
    iterator = training_batches(data.train, spec.data, plan.steps_per_dispatch, spec.train.seed)
    state, best, progress, skipped, last = _start_or_resume(spec, scales, path, run, iterator)
    if path and progress == Progress():
        alone = hosts.from_writer(_judge_alone, spec, best, data, run)
        progress = progress._replace(best_mae_mm=alone.get("val_mae_mm"))
    num_parameters = model.count_parameters(state.network)
    begun = plan, num_parameters, progress.epoch, skipped, devices.count(mesh), note
    yield Begun(*begun, _is_over(spec, progress))
    state = devices.copy_to_all(mesh, state)
    local = functools.partial(devices.first_copy, mesh)

    with Keeper(spec, run, progress.epoch, last, gradient_fn) as keeper:
        while not _is_over(spec, progress):
            began, is_stopping, batches = time.perf_counter(), False, None
            for dispatch in range(progress.dispatch, plan.dispatches):
                batches = next(iterator)
                state, metrics = _run(dispatch_fn, mesh, state, batches)
                _refuse_non_finite(metrics, state, batches, data, run)
                progress = progress._replace(dispatch=dispatch + 1)
                yield Dispatched(progress.epoch, dispatch, *_means(metrics))
                is_stopping, is_due = keeper.ask(should_stop())
                # The last dispatch of an epoch is saved with the epoch's own results, below.
                if dispatch + 1 < plan.dispatches and (is_stopping or is_due):
                    keeper.save(state, best, _pack(progress, iterator))
                    if is_stopping:
                        yield Finished(
                            "interrupted", progress.best_epoch, progress.best_mae_mm, path or None
                        )
                        return
            judged = spec, scales, path, data, plan, local(state), progress.epoch + 1
            record = hosts.from_writer(_end_epoch, *judged)
            if not np.isfinite(score(record)):
                raise _diverged(run, f"validation MAE {score(record)} after step {state.step}")
            progress, is_best = _advance(progress, record)
            best = weights_of(local(state), scales, path) if is_best else best
            seconds = time.perf_counter() - began
            keeper.record(record, seconds, plan.steps_per_epoch, local(state), batches)
            state = state._replace(totals=devices.copy_to_all(mesh, update.zero_totals()))
            yield EpochDone(record, seconds, is_best)
            if is_stopping or keeper.ask()[1]:
                keeper.save(state, best, _pack(progress, iterator))
            if is_stopping:
                yield Finished(
                    "interrupted", progress.best_epoch, progress.best_mae_mm, path or None
                )
                return
        keeper.save(state, best, _pack(progress, iterator))
    reason = "epochs" if progress.epoch == spec.train.epochs else "patience"
    yield Finished(reason, progress.best_epoch, progress.best_mae_mm, path or None)


def weights_of(state: TrainState, scales: Scales, path: Variables) -> Weights:
    """The model as it stands, in arrays of its own (the next step donates the state's).

    Args:
        path: what a path adds to the parameters, see `path_first.fit_path`.
    """
    network = jax.tree.map(jnp.copy, state.network)
    return Weights(network | path, *scales)


def validate(spec: Spec, weights: Weights, data: Dataset) -> dict[str, float | None]:
    """Accuracy on the validation split, streamed or by window as train.validation says."""
    rows, run_fn = bulk.has_target(data.val), bulk.stream
    if spec.train.validation == "window":
        rows, run_fn = rows & bulk.has_window(data.val, spec.data.window), bulk.from_windows
    if not rows.any():
        return {}
    found = measure(data.val.targets[rows], run_fn(spec, weights, data.val)[rows])
    return {"val_mae_mm": found.mae_mm, "val_rmse_mm": found.rmse_mm, "val_r2": found.r2}


def _judge_alone(spec: Spec, weights: Weights, data: Dataset, run: Run) -> dict[str, float | None]:
    """Validates the path before the first epoch, which counts as epoch 0, and records it."""
    found = validate(spec, weights, data)
    if found:
        files.write_json(run.path / run_folder.PATH_ALONE_FILE, found)
    return found


def _path_of(spec: Spec, data: Dataset, run: Run) -> path_first.Fitted:
    """The path, the same whenever the run goes on and in all processes."""
    with hosts.together():
        found = path_first.fit_path(spec, data, run.path / test_set.BASELINES)
    return found._replace(path=hosts.arrays_from_writer(found.path))


def _start_or_resume(spec: Spec, scales: Scales, path: Variables, run: Run, iterator: Any) -> Start:
    """A fresh start, or the newest readable checkpoint with the iterator set to it."""
    state = update.initialize(spec, len(scales.inputs.mean))
    best = weights_of(state, scales, path)
    found: list[checkpoint.Saved] = []

    def restore() -> dict[str, Any]:
        if checkpoint.steps(run.checkpoints):
            found.append(checkpoint.restore(run.checkpoints, state, best))
        return {"told": [(saved.progress, saved.skipped, saved.step) for saved in found]}

    told = hosts.from_writer(restore)["told"]
    arrays = (found[0].state, found[0].best) if found else (state, best)
    state, best = hosts.arrays_from_writer(arrays)
    if not told:
        return Start(state, best, Progress())
    (saved, skipped, step), *_ = told
    try:
        kept = records.check_kept(saved)
    except ValueError as error:
        raise InputError(f"{run.checkpoints / str(step)}: {error}. {records.MEND}") from None
    iterator.set_state(kept["iterator"])
    progress = kept["progress"]
    return Start(jax.tree.map(jnp.asarray, state), best, progress, tuple(skipped), step)


def _pack(progress: Progress, iterator: Any) -> dict[str, Any]:
    return {"progress": progress._asdict(), "iterator": iterator.get_state()}


def _means(metrics: Totals) -> tuple[float, float]:
    return float(np.mean(metrics.loss)), float(np.mean(metrics.mae_mm))


def _end_epoch(
    spec: Spec,
    scales: Scales,
    path: Variables,
    data: Dataset,
    plan: Plan,
    state: TrainState,
    epoch: int,
) -> dict[str, Any]:
    """The epoch's row of history: means over its steps, and the validation metrics."""
    steps = plan.steps_per_epoch
    schedule = learning_rate_fn(spec.optimizer, *update.count_updates(spec, plan.steps_per_epoch))
    updates = int(state.step) // spec.optimizer.accumulation_steps
    return {
        "epoch": epoch,
        "step": int(state.step),
        "train_loss": float(state.totals.loss) / steps,
        "train_mae_mm": float(state.totals.mae_mm) / steps,
        "grad_norm": float(state.totals.grad_norm) / steps,
        "weight_norm": float(state.totals.weight_norm) / steps,
        "learning_rate": float(np.asarray(schedule(max(updates - 1, 0)))),
        **validate(spec, weights_of(state, scales, path), data),
    }


def _advance(progress: Progress, record: dict[str, Any]) -> tuple[Progress, bool]:
    """Counts the epoch and judges it by its score."""
    mae_mm = score(record)
    is_best = progress.best_mae_mm is None or mae_mm < progress.best_mae_mm
    progress = progress._replace(epoch=progress.epoch + 1, dispatch=0)
    if is_best:
        progress = progress._replace(best_epoch=progress.epoch, best_mae_mm=mae_mm)
    return progress, is_best


def score(record: Mapping[str, Any]) -> float:
    """What an epoch is judged by: validation MAE (mm) or, without validation, training MAE."""
    return record.get("val_mae_mm", record["train_mae_mm"])


def _is_over(spec: Spec, progress: Progress) -> bool:
    """Whether all epochs are done, or so many were no better that patience has ended."""
    waited = progress.epoch - progress.best_epoch
    return progress.epoch >= spec.train.epochs or 0 < spec.train.patience <= waited


def _run(
    dispatch_fn: Any, mesh: Mesh | None, state: TrainState, batches: Batches
) -> tuple[TrainState, Totals]:
    """A dispatch, waited for; its metrics come back as numpy arrays, one value a step."""
    try:
        features, targets = (devices.deal(mesh, part) for part in batches[:2])
        state, metrics = dispatch_fn(state, features, targets)
        return state, jax.device_get(metrics)
    except jax.errors.JaxRuntimeError as error:
        raise check_memory_error(error, batches.first.shape[1]) or error from None


def _refuse_non_finite(
    metrics: Totals, state: TrainState, batches: Batches, data: Dataset, run: Run
) -> None:
    bad = np.flatnonzero(~np.isfinite(sum(metrics)))
    if not len(bad):
        return
    last, count, i = int(state.step), len(metrics.loss), int(bad[0])
    traces = np.searchsorted(data.train.first_row, batches.first[i], side="right") - 1
    names = [data.train.names[k] for k in np.unique(traces)]
    raise _diverged(
        run,
        f"loss {metrics.loss[i]}, gradient norm {metrics.grad_norm[i]}, weight norm "
        f"{metrics.weight_norm[i]} at step {last - count + i + 1} (of steps {last - count + 1} to "
        f"{last}), with windows of {', '.join(names[:5])}{' and others' if names[5:] else ''}",
    )


def _diverged(run: Run, what: str) -> NonFiniteLoss:
    kept = checkpoint.steps(run.checkpoints)
    return NonFiniteLoss(
        f"{run.path}: expected finite numbers, got {what}. Last good checkpoint: "
        f"{f'step {kept[-1]}' if kept else 'none'}. Lower optimizer.learning_rate, or set "
        "optimizer.clip_norm."
    )
