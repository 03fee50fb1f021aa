"""The evaluation of a run folder: what it keeps is read, judged, and the figures written back.

It knows run folders and puts evaluate, ceiling and the run's own evidence together; it prints
nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from jaxcorr import files
from jaxcorr.data.windows import Samples
from jaxcorr.evaluation import ceiling, evaluate
from jaxcorr.evaluation.evaluate import Assessment
from jaxcorr.training import experiment, restore, test_set
from jaxcorr.training.restore import Loaded
from jaxcorr.training.run_folder import Run

METRICS = "metrics.json"
METRICS_OF_OTHERS = "metrics_traces.json"


class Evaluated(NamedTuple):
    """A run's model, what it was judged on, and the outcome."""

    loaded: Loaded
    samples: Samples
    assessment: Assessment


def evaluate_run(run: Run, patterns: Sequence[str] = (), with_ceiling: bool = True) -> Evaluated:
    """Judges a run on its test split, or on other traces, and writes metrics.json into it.

    Args:
        run: finished or not; of an unfinished one the best weights so far count.
        patterns: of other `.mat` files, whose figures go to metrics_traces.json.
        with_ceiling: also simulates the test layers again, where they were simulated.
    Raises:
        InputError: the run or a trace is damaged, or there is nothing to judge on.
        OSError: the run folder takes no files.
    """
    loaded = restore.load_weights(run)
    files.check_folder(run.path)
    data, chosen = loaded.spec.data, list(patterns)
    samples = experiment.test_samples(run, loaded.spec, chosen)
    kept = test_set.load_for(run, data, chosen, samples) if chosen else test_set.load(run, samples)
    best = None if chosen or not with_ceiling else ceiling.noise_ceiling(data, samples)
    assessed = evaluate.assess(loaded, samples, kept.labels, kept.fitted, best)
    assessed.found.update(best_epoch=loaded.best_epoch, is_finished=loaded.is_finished)
    files.write_json(run.path / (METRICS_OF_OTHERS if chosen else METRICS), assessed.found)
    return Evaluated(loaded, samples, assessed)
