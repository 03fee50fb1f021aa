"""The stages that follow a training in the complete workflow, and what there is at its end.

A stage whose files are younger than the last line of the run's history is done, and is not done
again. The module starts no training and prints nothing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxcorr.data import trace
from jaxcorr.deploy import export
from jaxcorr.evaluation import report, tracks
from jaxcorr.evaluation.evaluate import METRICS, evaluate_run
from jaxcorr.spec import Data
from jaxcorr.training import experiment, path_first, restore, run_folder
from jaxcorr.training.run_folder import Run

PREDICTIONS = "predictions"


class Product(NamedTuple):
    """Something that the workflow made; a folder counts all that it holds."""

    path: Path
    what: str
    num_bytes: int


def evaluate(run: Run) -> dict[str, Any]:
    """Judges a run, and writes metrics.json, the predictions of each test trace, and the report.

    Raises:
        InputError: the run is damaged.
        OSError: the run folder takes no files.
    """
    done = evaluate_run(run)
    found, predicted = done.assessment.found, done.assessment.predicted
    tracks.save(run.path / PREDICTIONS, done.samples, predicted, done.loaded.spec, run.id)
    report.build(run, found, done.samples, predicted, report.FOLDER)
    return found


def is_evaluated(run: Run) -> bool:
    """Whether `evaluate` has nothing to do."""
    saved = list((run.path / PREDICTIONS).glob("*.npz"))
    files = [run.path / METRICS, run.path / report.FOLDER / report.PAGE, *saved]
    return bool(saved) and all(_is_current(run, path) for path in files)


def export_model(run: Run) -> None:
    """Writes every deployable form of a run's model.

    Raises:
        InputError: as `export.export`.
    """
    loaded = restore.load_weights(run)
    export.export(run, loaded, experiment.test_samples(run, loaded.spec, []))


def is_exported(run: Run) -> bool:
    """Whether `export_model` has nothing to do."""
    return _is_current(run, run.export / export.MANIFEST)


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
        yield Product(folder, f"{len(files)} traces{by}", sum(map(_size, files)))
    metrics = run.read_json(METRICS)
    overall, history = metrics["test"]["overall"], run_folder.read_lines(run.history)
    best = path_first.name_best(run.spec(), metrics["best_epoch"])
    yield Product(run.path, f"{len(history)} epochs, best: {best}", _size(run.path))
    r2 = "n/a" if overall["r2"] is None else f"{overall['r2']:.4f}"
    path = run.path / METRICS
    yield Product(path, f"R2 {r2}, MAE {1e3 * overall['mae_mm']:.2f} um", _size(path))
    path = run.path / PREDICTIONS
    yield Product(path, f"{len(list(path.glob('*.npz')))} test traces", _size(path))
    path = run.path / report.FOLDER / report.PAGE
    yield Product(path, "report", _size(path))
    for path in sorted(run.export.iterdir()):
        yield Product(path, "export", _size(path))


def _is_current(run: Run, path: Path) -> bool:
    return path.exists() and path.stat().st_mtime_ns >= run.history.stat().st_mtime_ns


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
