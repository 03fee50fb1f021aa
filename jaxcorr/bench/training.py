"""Training speed beside the reference document's PyTorch loop: same network, same data, in turns.

Loops take turns within one process (A B A B), so that a busy machine slows all of them alike, and
ratios are what counts.
"""

import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from jaxcorr import spec as specs
from jaxcorr.bench import torch_reference
from jaxcorr.bench.torch_reference import Trainer
from jaxcorr.data.batches import Batches, plan_for, training_batches
from jaxcorr.data.dataset import Dataset
from jaxcorr.errors import InputError
from jaxcorr.metrics import measure
from jaxcorr.models import bulk, network
from jaxcorr.models.network import Weights
from jaxcorr.models.scales import fit_scales
from jaxcorr.spec import SIZES, Spec
from jaxcorr.training import devices, path_first, run_folder
from jaxcorr.training import loop as train
from jaxcorr.training import step as update
from jaxcorr.training.optimizer import make_optimizer
from jaxcorr.training.run_folder import Run

# The document's recipe, whatever the spec says of these; data, horizon and sizes stay the spec's.
REFERENCE: dict[str, Any] = {
    "data": {"window": 50, "stride": 4, "batch_size": 256, "supervision": "last", "augment": {}},
    "model": {"inputs": "raw", "dropout": 0.1},
    "loss": {"name": "hybrid", "mae_ratio": 0.7},
    "optimizer": {"learning_rate": 5e-4, "weight_decay": 1e-4, "clip_norm": 0.0},
}
# The loop that each is set beside; the last two pairs do equal work.
RIVALS = {"all": "torch", "last": "torch", "document_all": "torch_all"}
BFLOAT16 = "_bfloat16"  # ends the name of a loop in this precision


class Timing(NamedTuple):
    """One turn of a loop. With supervision 'last' a target is a window."""

    targets: int
    seconds: float
    waited_s: float = 0.0  # of the seconds, for the next batches


class Loop:
    """The heart of `train.fit`, batches and dispatches, without validation, records, checkpoints.

    Attributes:
        plan: of an epoch.
        targets_per_dispatch: that the loss compares.
        num_parameters: of the network.
        num_devices: that share each batch.
        compile_s: seconds that tracing and compiling took.
    """

    def __init__(self, spec: Spec, data: Dataset) -> None:
        """Compiles the training step and fills the pipeline."""
        self.plan = plan_for(spec, data.train)
        per_window = spec.data.window if spec.data.supervision == "all" else 1
        self.targets_per_dispatch = self.plan.steps_per_dispatch * spec.data.batch_size * per_window
        self._path = path_first.fit_path(spec, data).path
        data = data._replace(train=path_first.take(spec, self._path, data.train))
        self._scales = fit_scales(spec, data.train)
        counts = update.count_updates(spec, self.plan.steps_per_epoch)
        self._mesh = devices.make_mesh(spec)
        self.num_devices = devices.count(self._mesh)
        step = update.make_train_step(
            update.make_loss_fn(spec, self._scales),
            make_optimizer(spec.optimizer, *counts),
            self._mesh,
        )
        state = update.initialize(spec, len(self._scales.inputs.mean))
        self.num_parameters = network.count_parameters(state.network)
        self._state = devices.copy_to_all(self._mesh, state)
        self._iterator = training_batches(
            data.train, spec.data, self.plan.steps_per_dispatch, spec.train.seed
        )
        batches = next(self._iterator)
        began = time.perf_counter()
        dispatch_fn = update.make_dispatch(step, spec.train.seed, self._mesh)
        self._dispatch_fn = dispatch_fn.lower(self._state, *self._deal(batches)).compile()
        self.compile_s = time.perf_counter() - began

    def run(self, seconds: float) -> Timing:
        """Trains on for this long, to the next whole dispatch."""
        count, waited_s, began = 0, 0.0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            asked = time.perf_counter()
            batches = next(self._iterator)
            waited_s += time.perf_counter() - asked
            self._state, metrics = self._dispatch_fn(self._state, *self._deal(batches))
            jax.device_get(metrics.loss)
            count += self.targets_per_dispatch
        return Timing(count, time.perf_counter() - began, waited_s)

    def time_pipeline(self, num_dispatches: int = 8) -> float:
        """Seconds that the pipeline takes to make a dispatch's batches while nothing else runs."""
        for _ in range(4):  # what it has made ahead
            next(self._iterator)
        began = time.perf_counter()
        for _ in range(num_dispatches):
            next(self._iterator)
        return (time.perf_counter() - began) / num_dispatches

    def weights(self) -> Weights:
        """The model as it stands."""
        state = devices.first_copy(self._mesh, self._state)
        return train.weights_of(state, self._scales, self._path)

    def _deal(self, batches: Batches) -> list[Any]:
        return [devices.deal(self._mesh, part) for part in batches[:2]]


def change(spec: Spec, changes: Mapping[str, Mapping[str, Any]]) -> Spec:
    """A spec with keys of some sections replaced, checked again."""
    table = specs.to_table(spec)
    for section, keys in changes.items():
        table[section] = table[section] | dict(keys)
    return specs.from_table(table, "bench")


def resize(spec: Spec, size: str) -> Spec:
    """A spec with the network of one of SIZES."""
    hidden_size, num_layers = SIZES[size]
    return change(spec, {"model": {"hidden_size": hidden_size, "num_layers": num_layers}})


def throughput(
    spec: Spec, data: Dataset, size: str, seconds: float, rounds: int, with_torch: bool = True
) -> dict[str, Any]:
    """Targets per second of one size of network, in every way there is to train it here.

    Loops: `all` is the spec's own recipe with every step supervised, `last` the document's recipe
    by jaxcorr, `torch` the same by PyTorch, `document_all` and `torch_all` that recipe with the
    loss on every step; on a GPU each in bfloat16 too (`all_bfloat16`, ...).

    Args:
        size: of SIZES.
        seconds, rounds: each loop gets this many turns of this length.
    Returns:
        parameters, loops (name -> figures) and ratios (name -> times the targets/s of its rival in
        PyTorch, of the same precision).
    """
    loops = _make_loops(resize(spec, size), data, with_torch)
    turns: dict[str, list[Timing]] = {name: [] for name in loops}
    for loop in loops.values():
        loop.run(seconds / 10)  # threads, caches and clocks warm up outside of the figures
    for _ in range(rounds):
        for name, loop in loops.items():
            turns[name].append(loop.run(seconds))
    found = {name: _figures(loop, turns[name]) for name, loop in loops.items()}
    ratios = {}
    for name, figures in found.items():
        kind = name.removesuffix(BFLOAT16)
        rival = found.get(RIVALS.get(kind, "") + name.removeprefix(kind))
        if rival is not None:
            ratios[name] = figures["targets_per_s"] / rival["targets_per_s"]
    parameters = loops["all"].num_parameters
    return {"model": size, "parameters": parameters, "loops": found, "ratios": ratios}


def _make_loops(spec: Spec, data: Dataset, with_torch: bool) -> dict[str, Any]:
    """The loops of `throughput` by name."""
    every_step = change(spec, {"data": {"supervision": "all"}})
    document = change(spec, REFERENCE)
    document_all = change(document, {"data": {"supervision": "all"}})
    loops: dict[str, Any] = {}
    for precision in ("float32", "bfloat16") if jax.default_backend() == "gpu" else ("float32",):
        suffix = "" if precision == "float32" else BFLOAT16
        typed = {"train": {"precision": precision}}
        loops[f"all{suffix}"] = Loop(change(every_step, typed), data)
        loops[f"last{suffix}"] = Loop(change(document, typed), data)
        if with_torch:
            loops[f"torch{suffix}"] = _TorchLoop(change(document, typed), data)
            loops[f"document_all{suffix}"] = Loop(change(document_all, typed), data)
            loops[f"torch_all{suffix}"] = _TorchLoop(change(document_all, typed), data)
    return loops


class _TorchLoop:
    """The PyTorch loop, timed as a `Loop` is."""

    def __init__(self, spec: Spec, data: Dataset) -> None:
        self._trainer = make_trainer(spec, data)

    def run(self, seconds: float) -> Timing:
        done = self._trainer.train(seconds)
        return Timing(done.windows * self._trainer.targets_per_window, done.seconds)


def _figures(loop: Any, turns: list[Timing]) -> dict[str, Any]:
    seconds = sum(turn.seconds for turn in turns)
    rate = sum(turn.targets for turn in turns) / seconds
    found: dict[str, Any] = {
        "targets_per_s": rate,
        "turns_per_s": [turn.targets / turn.seconds for turn in turns],
    }
    if isinstance(loop, Loop):
        waited = sum(turn.waited_s for turn in turns)
        making_s = loop.time_pipeline()
        step_s = loop.targets_per_dispatch / rate * (1 - waited / seconds)
        found |= {
            "num_devices": loop.num_devices,
            "compile_s": loop.compile_s,
            "pipeline_share_alone": making_s / (making_s + step_s),
            "pipeline_share_in_loop": waited / seconds,
        }
    return found


def time_to_torch_mae(spec: Spec, data: Dataset, seconds: float, run: Run) -> dict[str, Any]:
    """Seconds until jaxcorr is as good on the validation split as PyTorch after `seconds`.

    PyTorch is judged on the rows where a whole window ends, jaxcorr by its own validation, which
    counts the rows before too; its seconds count compiling, validating and checkpoints.

    Args:
        run: an empty folder for jaxcorr's checkpoints.
    Returns:
        torch_seconds, torch_epochs, torch_val_mae_mm; seconds (None where jaxcorr never got there),
        val_mae_mm and epochs of jaxcorr when it did.
    Raises:
        InputError: there is nothing to validate on.
    """
    trainer = make_trainer(change(spec, REFERENCE), data)
    done = trainer.train(seconds)
    rows = bulk.has_target(data.val) & bulk.has_window(data.val, REFERENCE["data"]["window"])
    if not rows.any():
        raise InputError(
            "bench: expected validation traces of 50 samples or more, got none. Give more traces, "
            "or set data.split.val."
        )
    goal_mm = measure(data.val.targets[rows], trainer.predict(data.val)[rows]).mae_mm
    found = {
        "torch_seconds": done.seconds,
        "torch_epochs": done.windows / trainer.num_windows,
        "torch_val_mae_mm": goal_mm,
    }
    began = time.perf_counter()
    for event in train.fit(spec, data, run):
        elapsed = time.perf_counter() - began
        if isinstance(event, train.EpochDone) and event.record["val_mae_mm"] <= goal_mm:
            reached = {"val_mae_mm": event.record["val_mae_mm"], "epochs": event.record["epoch"]}
            return found | reached | {"seconds": elapsed}
    return found | {"seconds": None, "val_mae_mm": None, "epochs": spec.train.epochs}


def make_trainer(spec: Spec, data: Dataset) -> Trainer:
    """The PyTorch loop on this data, on the number of threads that is quickest now.

    Its weights are fresh; what it learns while threads are chosen is not kept.
    """
    torch = torch_reference.load_torch()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if torch_device() == "cpu":
        Trainer(spec, data.train).choose_threads()
    return Trainer(spec, data.train, torch_device())


def torch_device() -> str:
    """Where PyTorch should compute: on a GPU only if jax does, so that both have the same."""
    is_gpu = jax.default_backend() == "gpu" and torch_reference.load_torch().cuda.is_available()
    return "cuda" if is_gpu else "cpu"


def describe(with_torch: bool = True) -> dict[str, Any]:
    """Machine, devices and versions that figures belong to."""
    found = run_folder.describe_machine().model_dump(mode="json")
    found["devices"] = [device.device_kind for device in jax.local_devices()]
    found["usable_cores"] = len(os.sched_getaffinity(0))
    found["load_average"] = os.getloadavg()[0]
    if with_torch:
        torch = torch_reference.load_torch()
        found["versions"]["torch"] = torch.__version__
        found["torch_device"] = torch_device()
    return found
