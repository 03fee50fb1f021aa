"""The test set of a run: what the run folder keeps, so that it is evaluated without its traces.

Test samples, their labels, and the baselines that were fitted on the training split.
"""

from pathlib import Path
from typing import NamedTuple

from jaxcorr import progress
from jaxcorr.data import strata, trace
from jaxcorr.data.dataset import Dataset
from jaxcorr.data.strata import Labels
from jaxcorr.data.windows import Samples
from jaxcorr.models import baselines
from jaxcorr.models.baselines import Fitted
from jaxcorr.spec import Data
from jaxcorr.training.run_folder import Run

TEST_LABELS = "test_labels.npz"
BASELINES = "baselines.npz"


class Kept(NamedTuple):
    """Labels of samples to evaluate a run on, and the baselines that it has to beat."""

    labels: Labels
    fitted: Fitted


def keep(folder: Path, data: Data, split: Dataset) -> None:
    """Fits the baselines and writes them and the test labels into a run folder.

    Raises:
        InputError: a test trace cannot be read any more.
    """
    paths = [split.paths[name] for name in split.test.names]
    strata.save(folder / TEST_LABELS, strata.read(paths, data, split.test))
    progress.begin("fitting the baselines that the network has to beat")
    baselines.save(folder / BASELINES, baselines.fit(data, split.train, split.val))


def load(run: Run, data: Data, samples: Samples) -> Kept:
    """What `keep` wrote, for the run's own test samples.

    Raises:
        InputError: a file is missing or damaged.
    """
    labels = strata.load(run.path / TEST_LABELS, samples)
    return Kept(labels, baselines.load(run.path / BASELINES, data))


def load_for(run: Run, data: Data, patterns: list[str], samples: Samples) -> Kept:
    """The same for other traces, whose labels come from their files."""
    path_of = {trace.name_of(path): path for path in trace.find(patterns)}
    paths = [path_of[name] for name in samples.names]
    return Kept(strata.read(paths, data, samples), baselines.load(run.path / BASELINES, data))
