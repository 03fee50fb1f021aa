"""The noise ceiling: the best accuracy that any predictor can reach on traces.

Simulated layers are simulated again with other random numbers; measured traces may repeat a plan.
What differs between repetitions cannot be known from the reference, so the mean over repetitions is
the best prediction there is.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import metrics, progress
from jaxcorr.data import collect, parts, trace, windows
from jaxcorr.data.trace import Trace
from jaxcorr.data.windows import Samples
from jaxcorr.errors import InputError
from jaxcorr.metrics import Ceiling
from jaxcorr.models import bulk
from jaxcorr.printer import gcode
from jaxcorr.printer.gcode import Program
from jaxcorr.printer.simulate import Job, make_jobs, simulate_jobs
from jaxcorr.spec import Data, Simulate

REPETITIONS = 6
SAME_PLAN = 1e-3  # of each feature's range


def noise_ceiling(data: Data, samples: Samples) -> Ceiling | None:
    """The best R2, RMSE and MAE (mm) that a predictor can reach on these simulated traces.

    Each trace is simulated REPETITIONS times with seeds of its own. A repetition differs from the
    mean of the other n - 1 by n / (n - 1) of the noise's variance, and is scaled back by that.

    Returns:
        over all axes; None where a trace is not of `data.simulate`, or the G-code that it was made
        from is not there.
    """
    if data.simulate is None:
        return None
    try:
        jobs = _jobs_by_trace(data.simulate)
    except InputError:
        # The run comes from a machine whose G-code is not here.
        return None
    if not set(samples.names) <= jobs.keys():
        return None
    options = data.simulate
    repeats = []
    for name in progress.count(samples.names, "simulating the test traces again"):
        part, program, job = jobs[name]
        again = [job._replace(seed=seed) for seed in _other_seeds(options.seed)]
        made = simulate_jobs(program, again, options, part)
        repeats.append(np.stack([_targets(result.fields, part, data) for result in made]))
    return _ceiling(repeats)


def repeated_ceiling(samples: Samples, rate_hz: float) -> Ceiling | None:
    """The ceiling of traces that repeat a plan, from their own spread; None where none does.

    Traces repeat a plan where their features differ nowhere by more than SAME_PLAN of the range of
    each, up to the end of the shorter.

    Returns:
        over the scored samples of the repeated plans.
    """
    scored = bulk.is_scored(samples, rate_hz)
    if not scored.any():
        return None
    tolerance = SAME_PLAN * np.ptp(samples.features, axis=0)
    groups: list[list[slice]] = []
    for span in samples.spans():
        same = (group for group in groups if _is_same_plan(samples, group[0], span, tolerance))
        group = next(same, None)
        groups.append([span]) if group is None else group.append(span)
    repeats = []
    for group in (group for group in groups if len(group) > 1):
        num_rows = min(span.stop - span.start for span in group)
        spans = [slice(span.start, span.start + num_rows) for span in group]
        chosen = np.all([scored[span] for span in spans], axis=0)
        repeats.append(np.stack([samples.targets[span][chosen] for span in spans]))
    repeats = [np.asarray(each, np.float64) for each in repeats if each.shape[1]]
    if not repeats:
        return None
    num_samples = sum(each.shape[0] * each.shape[1] for each in repeats)
    is_whole = num_samples == int(scored.sum())
    found = {"is_measured": True, "num_samples": None if is_whole else num_samples}
    return _ceiling(repeats).model_copy(update=found)


def _is_same_plan(samples: Samples, one: slice, other: slice, tolerance: ndarray) -> bool:
    lengths = one.stop - one.start, other.stop - other.start
    num_rows = min(lengths)
    if max(lengths) > 1.1 * num_rows + 1:
        return False
    first, second = (samples.features[s.start : s.start + num_rows] for s in (one, other))
    return bool(np.all(np.abs(first - second) <= tolerance))


def _ceiling(repeats: Sequence[Float[ndarray, "n rows k"]]) -> Ceiling:
    """Of plans, each with the targets of its n repetitions."""
    true, left = [], []
    for repeated in repeats:
        num = len(repeated)
        others = (repeated.sum(axis=0) - repeated) / (num - 1)
        scale = np.sqrt((num - 1) / num)
        left.append(scale * (repeated - others).reshape(-1, repeated.shape[-1]))
        true.append(repeated.reshape(-1, repeated.shape[-1]))
    joined = np.concatenate(true)
    best = metrics.measure(joined, joined - np.concatenate(left))
    most = max(len(repeated) for repeated in repeats)
    return Ceiling(repetitions=most, r2=best.r2, rmse_mm=best.rmse_mm, mae_mm=best.mae_mm)


def _other_seeds(seed: int) -> list[int]:
    """Seeds that the run's own data does not use."""
    return [1_000_003 * (i + 1) + seed for i in range(REPETITIONS)]


def _jobs_by_trace(options: Simulate) -> dict[str, tuple[str, Program, Job]]:
    """Trace name -> part, program and layer, for every trace that the options make."""
    jobs = {}
    for name in options.parts:
        part, program = parts.part_name(name), gcode.read(parts.find_part(name)[0], printer=options)
        folder = parts.folder_name(part, options.layers)
        for layer in parts.select_layers(options.layers, program.num_layers):
            for job in make_jobs(options, [layer]):
                stem = Path(collect.file_name(job, options)).stem
                jobs[f"{folder}/{stem}"] = (part, program, job)
    return jobs


def _targets(fields: dict[str, ndarray], part: str, data: Data) -> Float[ndarray, "rows k"]:
    """The targets of one repetition, lined up as evaluation has them, rows without one left out."""
    fields = trace.derive(fields, (*data.features, *data.targets))
    table = windows.tabulate([Trace(Path("repetition.mat"), part, fields, {})], data)
    return table.targets[table.lead :].astype(np.float64)
