"""Evaluation of a model on traces that it has not seen, beside baselines and the noise ceiling.

Predictions are those of the deployed predictor, streamed from the first sample of each trace, and
every baseline is judged on the very same rows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from jaxcorr import files, metrics, progress
from jaxcorr.data import windows
from jaxcorr.data.strata import Labels
from jaxcorr.data.windows import Samples
from jaxcorr.deploy import timing
from jaxcorr.deploy.predictor import Predictor
from jaxcorr.errors import InputError
from jaxcorr.evaluation import bootstrap, breakdown, verdict
from jaxcorr.evaluation import ceiling as ceilings
from jaxcorr.evaluation.bootstrap import Blocks
from jaxcorr.metrics import (
    Accuracy,
    AccuracyByAxis,
    Ceiling,
    Evaluation,
    IdentifiedAxis,
    Intervals,
    Latency,
    ReachedCeiling,
    ReachedTarget,
    ReachedTargets,
    StreamedAccuracy,
)
from jaxcorr.models import baselines, bulk, identification
from jaxcorr.models.baselines import Fitted
from jaxcorr.spec import Spec, Targets, axis_of
from jaxcorr.training import experiment, history, restore, test_set
from jaxcorr.training.restore import Loaded
from jaxcorr.training.run_folder import Run
from jaxcorr.units import count

NUM_TIMED_CALLS = 10_000

Values = Float[ndarray, "rows k"]


class Evaluated(NamedTuple):
    """A run's model, what it was evaluated on, the outcome, and the predictions (mm) behind it."""

    loaded: Loaded
    samples: Samples
    evaluation: Evaluation
    predicted: Float32[ndarray, "rows k"]


def evaluate_run(
    run: Run,
    patterns: Sequence[str] = (),
    with_ceiling: bool = True,
    out: Path | None = None,
    is_strict: bool = True,
) -> Evaluated:
    """Evaluates a run on its test split, or on other traces, and writes metrics.json into it.

    Args:
        run: finished or not; of an unfinished one the best weights so far count.
        patterns: of other `.mat` files, whose figures go to metrics_traces.json.
        with_ceiling: also simulates the test layers again, where they were simulated, or else
            compares the traces that repeat a plan.
        out: a folder that is there, for metrics.json in place of the run's.
        is_strict: refuses an older checkpoint where the newest one cannot be used.
    Raises:
        InputError: the run or a trace is damaged, or there is nothing to evaluate on.
        OSError: the run folder takes no files.
    """
    progress.begin("reading the run")
    out = out or run.path
    files.check_folder(out)
    loaded = restore.load_weights(run, is_strict)
    data, chosen = loaded.spec.data, list(patterns)
    samples = experiment.test_samples(run, loaded.spec, chosen)
    kept = (
        test_set.load_for(run, data, chosen, samples)
        if chosen
        else test_set.load(run, data, samples)
    )
    best = None
    if with_ceiling:
        best = None if chosen else ceilings.noise_ceiling(data, samples)
        best = best or ceilings.repeated_ceiling(samples, data.sample_rate_hz)
    done = evaluate(loaded, samples, kept.labels, kept.fitted, best)
    name = metrics.FILE_OF_OTHERS if chosen else metrics.FILE
    files.write_json(out / name, done.evaluation.model_dump(mode="json"))
    if not chosen and out == run.path:
        overall, latency = done.evaluation.test.overall, done.evaluation.latency
        reached = {"mae_mm": overall.mae_mm, "r2": overall.r2, "inference_p50_us": latency.p50_us}
        history.show_evaluated(run, loaded.best_epoch, reached)
    return done


def evaluate(
    loaded: Loaded,
    samples: Samples,
    labels: Labels,
    fitted: Fitted,
    ceiling: Ceiling | None = None,
) -> Evaluated:
    """Accuracy, its uncertainty, baselines, latency and the verdict on a model on these traces.

    Args:
        labels: of the same samples.
        fitted: baselines to measure beside the model.
        ceiling: of `ceiling.noise_ceiling`.
    Raises:
        InputError: there are no samples to evaluate on.
    """
    spec = loaded.spec
    rows = bulk.is_scored(samples, spec.data.sample_rate_hz)
    if not rows.any():
        raise InputError(
            "evaluation: expected test traces, got none. Train with data.split.test > 0, or name "
            "traces with --traces."
        )
    progress.begin(f"predicting {count(len(samples.names), 'trace')}, sample by sample")
    streamed = bulk.stream(spec, loaded.weights, samples)
    layers = list(map(windows.printed_layer_of, samples.names))
    lying = samples.first_row, samples.num_rows
    blocks = bootstrap.cut(*lying, rows, layers, spec.data.sample_rate_hz)
    test = _measure_streamed(spec, samples, streamed, rows, len(set(layers)))
    progress.begin("predicting with the baselines")
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        answers = baselines.predict(fitted, samples)
    measured = {name: _by_axis(spec, samples, values, rows) for name, values in answers.items()}
    progress.begin(f"timing {NUM_TIMED_CALLS:,} predictions")
    latency = measure_latency(loaded, samples)
    window = _measure_windows(loaded, samples, rows)
    progress.begin("resampling for 95% intervals")
    targets = judge_targets(spec.targets, test.overall, latency.p99_us)
    model = verdict.describe(spec, loaded.best_epoch, fitted)
    against = verdict.compare_with_each(samples.targets, streamed, answers, blocks)
    # A ceiling of some of the samples is no measure of all.
    of_all = ceiling if ceiling and ceiling.num_samples is None else None
    evaluation = Evaluation(
        verdict=verdict.judge(model, against, targets, test.overall.rmse_mm, of_all),
        test=test,
        window=window,
        horizon=spec.data.horizon,
        period_us=1e6 / spec.data.sample_rate_hz,
        intervals=measure_intervals(samples, streamed, blocks),
        baselines=measured,
        identified=_list_axes(spec, fitted),
        ceiling=reached_ceiling(ceiling, test.overall) if ceiling else None,
        dynamic=breakdown.dynamics(samples, streamed, rows, spec.data, labels),
        per_trace=breakdown.per_trace(samples, streamed, rows),
        breakdown=breakdown.by_kind(samples, streamed, rows, spec.data, labels),
        latency=latency,
        targets=targets,
        best_epoch=loaded.best_epoch,
        is_finished=loaded.is_finished,
    )
    return Evaluated(loaded, samples, evaluation, streamed)


def measure_intervals(samples: Samples, predicted: Values, blocks: Blocks) -> Intervals:
    """95% intervals of the headline figures, and how they were found."""
    sums = bootstrap.summarize(samples.targets, predicted, blocks)
    return Intervals(
        **bootstrap.intervals(sums),
        confidence=bootstrap.CONFIDENCE,
        method=f"block bootstrap, {bootstrap.NUM_RESAMPLES} resamples of {blocks.method}",
        num_blocks=blocks.num_blocks,
    )


def reached_ceiling(ceiling: Ceiling, overall: Accuracy) -> ReachedCeiling:
    """The ceiling, and how much of it the model reached."""
    r2, best_r2, is_whole = overall.r2, ceiling.r2, ceiling.num_samples is None
    return ReachedCeiling(
        **ceiling.model_dump(),
        explained_share=r2 / best_r2 if is_whole and best_r2 and r2 is not None else None,
        mae_share=ceiling.mae_mm / overall.mae_mm if is_whole and overall.mae_mm else None,
    )


def measure_latency(loaded: Loaded, samples: Samples) -> Latency:
    """Latency of the deployed predictor, one sample at a time, on this machine."""
    # Traces of others may hold what this model was not made for; that is still a call to time.
    predictor = Predictor(loaded, mode="hold")
    longest = int(np.argmax(samples.num_rows))
    first, num_rows = samples.first_row[longest], samples.num_rows[longest]
    rows = samples.features[first : first + num_rows].tolist()
    return Latency(
        **timing.measure(predictor.step, rows, NUM_TIMED_CALLS, restart_fn=predictor.reset),
        limit_us=1e3 * loaded.spec.targets.inference_ms,
        period_us=1e6 / loaded.spec.data.sample_rate_hz,
    )


def judge_targets(targets: Targets, overall: Accuracy, p99_us: float) -> ReachedTargets:
    """Each target with what was reached; the time that counts is the 99th percentile."""
    r2, inference_ms = overall.r2, p99_us / 1e3
    return ReachedTargets(
        mae_mm=ReachedTarget(
            goal=targets.mae_mm, value=overall.mae_mm, is_met=overall.mae_mm <= targets.mae_mm
        ),
        r2=ReachedTarget(goal=targets.r2, value=r2, is_met=r2 is not None and r2 >= targets.r2),
        inference_ms=ReachedTarget(
            goal=targets.inference_ms,
            value=inference_ms,
            is_met=inference_ms <= targets.inference_ms,
        ),
    )


def axis_names(spec: Spec) -> list[str]:
    """As `spec.axis_of` each target."""
    return list(map(axis_of, spec.data.targets))


def _by_axis(spec: Spec, samples: Samples, predicted: Values, rows: ndarray) -> AccuracyByAxis:
    true, answers = samples.targets[rows], predicted[rows]
    num_bad = int((~np.isfinite(answers)).any(axis=1).sum())
    if num_bad:
        raise InputError(
            f"evaluation: expected finite predictions, got {count(num_bad, 'sample')} without. "
            "Samples or baselines of the run were altered: bring them back, or train it again."
        )
    axes = {
        name: metrics.measure(true[:, i], answers[:, i]) for i, name in enumerate(axis_names(spec))
    }
    return AccuracyByAxis(overall=metrics.measure(true, answers), axes=axes)


def _measure_streamed(
    spec: Spec, samples: Samples, streamed: Values, rows: ndarray, num_layers: int
) -> StreamedAccuracy:
    accuracy = _by_axis(spec, samples, streamed, rows)
    return StreamedAccuracy(
        overall=accuracy.overall,
        axes=accuracy.axes,
        num_traces=len(samples.names),
        num_layers=num_layers,
        num_samples=int(rows.sum()),
        percentiles=metrics.percentiles(samples.targets[rows], streamed[rows]),
        num_in_motion=sum(samples.in_motion),
        num_before=int(np.sum(bulk.has_target(samples) & ~rows)),
    )


def _measure_windows(loaded: Loaded, samples: Samples, rows: ndarray) -> AccuracyByAxis | None:
    """Accuracy from windows that start from zero; None where no row has one."""
    in_window = rows & bulk.has_window(samples, loaded.spec.data.window)
    if not in_window.any():
        return None
    phase = "predicting each sample from its window alone"
    windowed = bulk.from_windows(
        loaded.spec, loaded.weights, samples, lambda batches: progress.count(batches, phase)
    )
    return _by_axis(loaded.spec, samples, windowed, in_window)


def _list_axes(spec: Spec, fitted: Fitted) -> dict[str, IdentifiedAxis]:
    """What the plant was found to be, by axis."""
    if fitted.plant is None:
        return {}
    table = identification.describe(fitted.plant, axis_names(spec))
    names = IdentifiedAxis.model_fields
    return {
        axis: IdentifiedAxis(**{name: numbers[name] for name in names})
        for axis, numbers in table.items()
    }
