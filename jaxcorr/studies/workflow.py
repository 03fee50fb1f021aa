"""The stages that follow a training in the complete workflow, and the list of what it made.

A stage whose files are younger than the last line of the run's history is not done again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jaxcorr import metrics, units
from jaxcorr.data import trace
from jaxcorr.evaluation import report, tracks, wording
from jaxcorr.evaluation.evaluate import evaluate_run
from jaxcorr.export import all_forms
from jaxcorr.metrics import Evaluation
from jaxcorr.spec import Data
from jaxcorr.training import checkpoint, experiment, restore
from jaxcorr.training.run_folder import Run

PREDICTIONS = "predictions"


class Product(NamedTuple):
    """Something that the workflow made; a folder counts all that it holds."""

    path: Path
    what: str
    num_bytes: int


def evaluate(run: Run) -> Evaluation:
    """Evaluates a run, and writes metrics.json, the predictions of each test trace, and the report.

    Raises:
        InputError: the run is damaged.
        OSError: the run folder takes no files.
    """
    done = evaluate_run(run)
    tracks.save(run.path / PREDICTIONS, done.samples, done.predicted, done.loaded.spec, run.id)
    report.build(run, done.evaluation, done.samples, done.predicted)
    return done.evaluation


def is_evaluated(run: Run) -> bool:
    """Whether `evaluate` has nothing to do."""
    saved = list((run.path / PREDICTIONS).glob("*.npz"))
    files = [run.path / metrics.FILE, run.path / report.FOLDER / report.PAGE, *saved]
    return bool(saved) and all(_is_current(run, path) for path in files)


def export_model(run: Run) -> None:
    """Writes every deployable form of a run's model.

    Raises:
        InputError: as `export.export`.
    """
    loaded = restore.load_weights(run)
    samples = experiment.test_samples(run, loaded.spec, [])
    all_forms.export(run, loaded, samples, wording.for_card(run.path / metrics.FILE))


def is_exported(run: Run) -> bool:
    """Whether `export_model` has nothing to do."""
    return _is_current(run, run.export / all_forms.MANIFEST)


def list_products(run: Run, data: Data) -> Iterator[Product]:
    """What a finished workflow made, in its order.

    Args:
        run: evaluated and exported.
        data: of its spec, which says where the traces are.
    """
    folders: dict[Path, list[Path]] = {}
    for path in trace.find(data.traces):
        folders.setdefault(path.parent, []).append(path)
    for folder, files in folders.items():
        maker = trace.read(files[0]).params.get("simulator", "")
        by = f" by {maker}" if isinstance(maker, str) and maker else ""
        yield Product(folder, f"{units.count(len(files), 'trace')}{by}", sum(map(_size, files)))
    path = run.path / metrics.FILE
    evaluation, history = metrics.read(path), run.read_history()
    best = checkpoint.name_best(evaluation.best_epoch, evaluation.verdict.path)
    yield Product(run.path, f"{len(history)} epochs, best: {best}", _size(run.path))
    overall = evaluation.test.overall
    accuracy = f"R2 {wording.ratio(overall.r2)}, MAE {wording.um(overall.mae_mm)} um"
    yield Product(path, accuracy, _size(path))
    path = run.path / PREDICTIONS
    yield Product(path, units.count(len(list(path.glob("*.npz"))), "test trace"), _size(path))
    path = run.path / report.FOLDER / report.PAGE
    yield Product(path, "report", _size(path))
    for path in sorted(run.export.iterdir()):
        yield Product(path, "export", _size(path))


def _is_current(run: Run, path: Path) -> bool:
    return path.exists() and path.stat().st_mtime_ns >= run.history.stat().st_mtime_ns


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
