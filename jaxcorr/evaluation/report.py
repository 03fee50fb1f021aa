"""The report of a run: one page that opens anywhere, with its figures beside it as files.

The folder appears whole or not at all; a report that was there before stays until then.
"""

import base64
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from jaxtyping import Float32
from numpy import ndarray

from jaxcorr import files, plotting, progress
from jaxcorr import run_records as records
from jaxcorr.data.windows import Samples
from jaxcorr.errors import InputError
from jaxcorr.evaluation import about_run, error_figures, motion_figures, path_figures, wording
from jaxcorr.evaluation.error_figures import Drawing
from jaxcorr.evaluation.tracks import Track, align
from jaxcorr.metrics import Evaluation
from jaxcorr.models import network
from jaxcorr.training import run_folder
from jaxcorr.training.run_folder import SPEC_FILE, Run

FOLDER = "report"
PAGE = "index.html"


def build(
    run: Run,
    evaluation: Evaluation,
    samples: Samples,
    predicted: Float32[ndarray, "rows k"],
    folder: str = FOLDER,
    out: Path | None = None,
) -> Path:
    """Writes `<run>/<folder>/index.html`, and each figure as .png, .svg and .pdf beside it.

    Args:
        run: that was evaluated.
        evaluation: of the run.
        samples: that it was evaluated on.
        predicted: the streamed prediction of each row (mm).
        folder: name of the report's folder, which is replaced as a whole.
        out: where that folder is, in place of the run.
    Returns:
        the page.
    Raises:
        InputError: the run is incomplete, or the folder cannot be written; an older report stays.
    """
    content = _describe(run, evaluation, samples)
    tracks = align(samples, predicted, run.spec())
    target = (out or run.path) / folder
    filters = {"typeset": wording.typeset}
    try:
        with files.replace_folder(target) as partial:
            drawings = _draw(partial, tracks, run.read_history())
            page = files.render("report.html.j2", filters, drawings=drawings, **content)
            (partial / PAGE).write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{target}: expected to write the report there, got '{error.strerror}'. Make room, or "
            "mend its permissions."
        ) from None
    return target / PAGE


def refuse_altered(run: Run) -> None:
    """Reads what only the report shows of a run, for a refusal before the evaluation.

    Raises:
        InputError: a file of the run is damaged or altered.
    """
    run.read_history()
    _spec_text(run)


def _describe(run: Run, evaluation: Evaluation, samples: Samples) -> dict[str, Any]:
    """What the template shows besides the drawings."""
    spec, resolved = run.spec(), run.resolved()
    split = resolved.split
    return {
        "run_id": run.id,
        "evaluation": evaluation,
        "judged_on": about_run.judged_on(samples.names, split),
        "text": wording,
        "training": about_run.training_rows(
            spec,
            resolved,
            _num_parameters(run),
            num_epochs=len(run.read_history()),
            best_epoch=evaluation.best_epoch,
            path=evaluation.verdict.path,
        ),
        "machine": about_run.machine_rows(run_folder.describe_machine(), "Evaluated"),
        "limits": about_run.limits(spec, samples.names, split, evaluation.is_finished),
        "spec_text": _spec_text(run),
    }


def _num_parameters(run: Run) -> int:
    spec, num_inputs = run.spec(), run.resolved().num_inputs
    shapes = jax.eval_shape(lambda: network.initialize(spec, num_inputs, jax.random.key(0)))
    return network.count_parameters(shapes)


def _spec_text(run: Run) -> str:
    """The spec as given, whatever its letters are; a run made by a program may have none."""
    path = run.path / SPEC_FILE
    if not path.is_file():
        return ""
    return files.read_bytes(path, "the spec as given", records.MEND).decode(errors="replace")


def _draw(
    folder: Path, tracks: list[Track], history: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """Draws and saves each figure that the data allows; each with its picture for the page."""
    drawn = []
    with plotting.style():
        for draw_fn in progress.count(_drawings(tracks, history), "drawing the report"):
            if drawing := draw_fn():
                paths = [folder / f"{drawing.name}{suffix}" for suffix in plotting.FORMATS]
                plotting.save(drawing.figure, *paths)
                picture = base64.b64encode(paths[1].read_bytes()).decode("ascii")
                words = {key: getattr(drawing, key) for key in ("name", "title", "caption", "alt")}
                drawn.append(words | {"source": f"data:image/svg+xml;base64,{picture}"})
    return drawn


def _drawings(
    tracks: list[Track], history: Sequence[Mapping[str, Any]]
) -> list[Callable[[], Drawing | None]]:
    """To be called one after the other, so that only one drawing is in memory."""
    return [
        functools.partial(path_figures.trajectory_comparison, tracks),
        functools.partial(error_figures.per_axis_error, tracks),
        functools.partial(error_figures.error_distribution, tracks),
        functools.partial(error_figures.error_correlation, tracks),
        functools.partial(motion_figures.spectrum, tracks),
        functools.partial(motion_figures.residual_vs_speed, tracks),
        functools.partial(path_figures.error_heatmap, tracks),
        functools.partial(path_figures.worst_moments, tracks),
        functools.partial(error_figures.training_curves, history),
    ]
