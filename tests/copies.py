"""Copies of a finished toy run: with changes in what it holds, or evaluated as for a report."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from numpy import ndarray

from jaxcorr import files
from jaxcorr.data import dataset
from jaxcorr.data.windows import Samples
from jaxcorr.evaluation import evaluate
from jaxcorr.metrics import Evaluation
from jaxcorr.training import experiment, restore, test_set
from jaxcorr.training.experiment import Experiment
from jaxcorr.training.run_folder import Run

Judged = tuple[Run, Evaluation, Samples, ndarray]


def change(
    run: Run,
    path: Path,
    data: dict[str, Any] | None = None,
    split: dict[str, list[str]] | None = None,
    **samples: Any,
) -> Run:
    """A copy with some keys of its spec's data section, its split or its test samples replaced."""
    changed = Run(shutil.copytree(run.path, path))
    resolved = changed.resolved().model_dump(mode="json")
    resolved["spec"]["data"] |= data or {}
    resolved["split"] |= split or {}
    files.write_json(changed.path / "resolved.json", resolved)
    kept = dataset.load_samples(run.path / experiment.TEST_SAMPLES, run.spec().data)
    dataset.save_samples(changed.path / experiment.TEST_SAMPLES, kept._replace(**samples))
    return changed


def judge(trained: Experiment, path: Path) -> Judged:
    """A copy, its evaluation, its test samples and predictions: what `report.build` takes."""
    run = Run(shutil.copytree(trained.run.path, path))
    loaded, samples = restore.load_weights(run), trained.data.test
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "NUM_TIMED_CALLS", 20)
        done = evaluate.evaluate(loaded, samples, *test_set.load(run, loaded.spec.data, samples))
    return run, done.evaluation, samples, done.predicted
