"""Several trainings of one spec, each with changes of its own, evaluated and never done twice.

A run that is there already, of the very same spec on the very same data, is used again; one that
was interrupted goes on.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from jaxcorr import metrics
from jaxcorr import spec as specs
from jaxcorr.evaluation import evaluate
from jaxcorr.spec import Spec
from jaxcorr.training import checkpoint, experiment, loop, restore, run_folder
from jaxcorr.training.experiment import Experiment
from jaxcorr.training.run_folder import Run

Follow = Callable[[Experiment, Iterator[loop.Event]], loop.Finished]


def work(
    base: Path,
    jobs: Sequence[Sequence[str]],
    folder: Path,
    follow: Follow,
    should_stop: Callable[[], bool],
    with_ceiling: bool = True,
) -> Iterator[Run]:
    """Trains and evaluates what is not there yet; yields each run, and ends early on a stop.

    Args:
        base: the spec that all trainings share.
        jobs: `section.key=value` texts of each training; all of them on the same traces.
        folder: of these runs.
        follow: runs through a training's events and returns the last one.
        should_stop: True saves the running training and ends.
        with_ceiling: also finds each run's noise ceiling, where its traces are simulated.
    Raises:
        InputError: the spec or the data is refused, or the disk has no room.
        NonFiniteLoss: a training diverged.
        OSError: a run folder takes no files.
    """
    known: dict[str, str] | None = None
    for changes in jobs:
        spec = specs.load(base, changes)
        known = known or experiment.fingerprint(spec.data)
        run = find(folder, spec, known, experiment.name_of(spec, base))
        if run is None or not (run.path / metrics.FILE).exists():
            run, is_finished = train_on(run, base, changes, folder, follow, should_stop)
            if not is_finished:
                return
            evaluate.evaluate_run(run, with_ceiling=with_ceiling)
        yield run
        if should_stop():
            return


def train_on(
    run: Run | None,
    base: Path,
    changes: Sequence[str],
    folder: Path,
    follow: Follow,
    should_stop: Callable[[], bool],
) -> tuple[Run, bool]:
    """Trains a run to its end, from its last checkpoint or, without a run, from the beginning.

    Args:
        run: of the spec, from `find`.
        base, changes, folder, follow, should_stop: as for `work`.
    Returns:
        The run, and False where it was stopped before its end.
    """
    begun = experiment.reopen(run) if run else experiment.begin(base, [*changes], folder)
    events = loop.fit(begun.spec, begun.data, begun.run, should_stop)
    return begun.run, follow(begun, events).reason != "interrupted"


def is_trained(run: Run) -> bool:
    """Whether a training came to its end."""
    has_checkpoint = bool(checkpoint.steps(run.checkpoints))
    return has_checkpoint and restore.load_weights(run).is_finished


def find(folder: Path, spec: Spec, fingerprint: dict[str, str], name: str) -> Run | None:
    """The newest run of this very spec on this very data, by its name in run ids."""
    for run in reversed(run_folder.list_all(folder)):
        if run_folder.slug_of(name) not in run.id:  # cheaper than to read every spec
            continue
        resolved = run.resolved()
        if resolved.fingerprint == fingerprint and run.spec() == spec:
            return run
    return None
