"""The noise ceiling of simulated traces: the best accuracy that any predictor can reach on them.

The layers are simulated again with other random numbers. What differs between repetitions cannot be
known from the reference, so the mean over repetitions is the best prediction there is.
"""

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
from jaxcorr.printer import gcode
from jaxcorr.printer.gcode import Program
from jaxcorr.printer.simulate import Job, make_jobs, simulate_jobs
from jaxcorr.spec import Data, Simulate

REPETITIONS = 6


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
    residuals, deviations = [], []
    for name in progress.count(samples.names, "simulating the test traces again"):
        part, program, job = jobs[name]
        again = [job._replace(seed=seed) for seed in _other_seeds(options.seed)]
        made = simulate_jobs(program, again, options, part)
        repeated = np.stack([_targets(result.fields, part, data) for result in made])
        others = (repeated.sum(axis=0) - repeated) / (REPETITIONS - 1)
        residuals.append((repeated - others).reshape(-1, repeated.shape[-1]))
        deviations.append(repeated.reshape(-1, repeated.shape[-1]))
    scale = np.sqrt((REPETITIONS - 1) / REPETITIONS)
    true = np.concatenate(deviations)
    best = metrics.measure(true, true - scale * np.concatenate(residuals))
    return Ceiling(repetitions=REPETITIONS, r2=best.r2, rmse_mm=best.rmse_mm, mae_mm=best.mae_mm)


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
