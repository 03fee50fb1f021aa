"""The same minutes for jaxcorr and for PyTorch: both train, both are judged on the same test rows.

jaxcorr trains a spec as `jaxcorr train` does, with its epochs planned to end in time; PyTorch
trains the reference document's recipe on the same split. The module prints nothing.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from jaxcorr import metrics
from jaxcorr import spec as specs
from jaxcorr.bench import training
from jaxcorr.data.dataset import Dataset
from jaxcorr.evaluation import evaluate
from jaxcorr.models import bulk
from jaxcorr.spec import Spec
from jaxcorr.training import experiment, restore
from jaxcorr.training import loop as train
from jaxcorr.training.loop import Dispatched, EpochDone

CALIBRATION_SHARE = 0.05  # of the time, spent beforehand on finding out how many epochs fit


class _Budget(NamedTuple):
    epochs: int
    targets_per_dispatch: int
    num_parameters: int


def against_torch(
    path: Path, overrides: list[str], seconds: float, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Trains both for `seconds` and evaluates both where a whole window of the test split ends.

    Args:
        path, overrides: jaxcorr's spec; PyTorch takes from it data, split, horizon, network size.
        folder: gets jaxcorr's run.
        say: told what goes on.
    Returns:
        `torch`: epochs, seconds, targets_per_s, window (metrics overall and per axis);
        `jaxcorr`: the same and `stream`, the metrics of the deployed predictor; `test`: its size.
    """
    spec = specs.load(path, overrides)
    data = experiment.load_data(spec.data)
    reference = training.change(spec, training.REFERENCE)
    say(f"PyTorch trains for {seconds:g} s")
    trainer = training.make_trainer(reference, data)
    done = trainer.train(seconds)
    by_torch = trainer.predict(data.test)
    widest = max(spec.data.window, reference.data.window)
    rows = bulk.has_target(data.test) & bulk.has_window(data.test, widest)

    budget = _plan(spec, data, seconds)
    say(f"jaxcorr trains for {seconds:g} s, {budget.epochs} epochs")
    # The schedule ends with the time, and nothing ends it before.
    overrides = [*overrides, f"train.epochs={budget.epochs}", "train.patience=0"]
    begun = experiment.begin(path, overrides, folder)
    ours = _train(begun, seconds, budget)
    loaded = restore.load_weights(begun.run)
    predicted = {
        "stream": bulk.stream(spec, loaded.weights, data.test),
        "window": bulk.from_windows(spec, loaded.weights, data.test),
    }
    true = data.test.targets[rows]
    return {
        "test": {"num_traces": len(data.test.names), "num_rows": int(rows.sum())},
        "torch": {
            "epochs": done.windows / trainer.num_windows,
            "seconds": done.seconds,
            "targets_per_s": done.windows / done.seconds,
            "window": _accuracy(spec, true, by_torch[rows]),
        },
        "jaxcorr": ours
        | {"best_epoch": loaded.best_epoch, "parameters": budget.num_parameters}
        | {name: _accuracy(spec, true, errors[rows]) for name, errors in predicted.items()},
    }


def _plan(spec: Spec, data: Dataset, seconds: float) -> _Budget:
    """How many epochs, each with its validation, fit once the step is compiled."""
    loop = training.Loop(spec, data)
    turn = loop.run(CALIBRATION_SHARE * seconds)
    train.validate(spec, loop.weights(), data)
    began = time.perf_counter()
    train.validate(spec, loop.weights(), data)
    validation_s = time.perf_counter() - began
    targets = loop.plan.dispatches * loop.targets_per_dispatch
    epoch_s = targets * turn.seconds / turn.targets + validation_s
    epochs = max(1, int((seconds - loop.compile_s) / epoch_s))
    return _Budget(epochs, loop.targets_per_dispatch, loop.num_parameters)


def _train(begun: experiment.Experiment, seconds: float, budget: _Budget) -> dict[str, Any]:
    """Trains until the epochs are done or the time is over, at least an epoch; compiling counts."""
    began, targets, epochs = time.perf_counter(), 0, 0

    def is_over() -> bool:
        return epochs > 0 and time.perf_counter() - began > seconds

    for event in train.fit(begun.spec, begun.data, begun.run, is_over):
        targets += budget.targets_per_dispatch * isinstance(event, Dispatched)
        epochs += isinstance(event, EpochDone)
    elapsed = time.perf_counter() - began
    return {"epochs": epochs, "seconds": elapsed, "targets_per_s": targets / elapsed}


def _accuracy(
    spec: Spec, true: Float32[ndarray, "n k"], predicted: Float32[ndarray, "n k"]
) -> dict[str, Any]:
    assert np.isfinite(predicted).all()
    axes = {
        name: metrics.measure(true[:, i], predicted[:, i])._asdict()
        for i, name in enumerate(evaluate.axis_names(spec))
    }
    return {"overall": metrics.measure(true, predicted)._asdict()} | axes
