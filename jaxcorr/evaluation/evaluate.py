"""Evaluation of a model on traces it has not seen: what streaming delivers, in figures.

Predictions are those of the deployed predictor, streamed from the first sample of each trace, and
every rival is judged on the very same rows. The module knows models, samples and metrics; it knows
no files and prints nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from jaxcorr import files, metrics
from jaxcorr.data import windows
from jaxcorr.data.strata import Labels
from jaxcorr.data.windows import Samples
from jaxcorr.deploy import timing
from jaxcorr.deploy.predictor import Predictor
from jaxcorr.errors import InputError
from jaxcorr.evaluation import bootstrap, breakdown, ceiling
from jaxcorr.evaluation.bootstrap import Blocks, Paired
from jaxcorr.models import baselines, bulk
from jaxcorr.models.baselines import Fitted
from jaxcorr.spec import Spec, Targets, axis_of
from jaxcorr.training import experiment, restore, test_set
from jaxcorr.training.restore import Loaded
from jaxcorr.training.run_folder import Run

NUM_TIMED_CALLS = 10_000

Found = dict[str, Any]


class Assessment(NamedTuple):
    """Figures, and the predictions (mm) that they are of."""

    found: Found
    predicted: Float32[ndarray, "rows k"]


def assess(
    loaded: Loaded,
    samples: Samples,
    labels: Labels | None = None,
    fitted: Fitted | None = None,
    ceiling: Mapping[str, Any] | None = None,
) -> Assessment:
    """Accuracy, its uncertainty, rivals, latency and verdicts of a model on these traces.

    Keys of the figures:
      test        num_traces, num_layers, num_samples, overall, one entry per axis, percentiles
      window      overall and per axis, each prediction from a window run from zero, as the
                  reference measures
      horizon, period_us
      intervals   95% of mae_mm, rmse_mm, r2, correlation; method, num_blocks
      baselines   overall and per axis of each; best_baseline, against_best_baseline
      identified  frequency_hz and damping_ratio of each axis, as the baseline `physics` found them
      ceiling     as given, and the shares of it that were reached
      dynamic     r2 and RMS of the error without friction's offset
      per_trace, breakdown
      latency     us, of single calls; limit_us, period_us
      targets     goal, value, is_met of each; meets_all_targets

    Args:
        labels: of the same samples; the breakdown has less without them.
        fitted: baselines to judge beside the model.
        ceiling: of `ceiling.noise_ceiling`.
    Raises:
        InputError: there are no samples to evaluate on.
    """
    spec = loaded.spec
    rows = bulk.has_target(samples)
    if not rows.any():
        raise InputError(
            "evaluation: expected test traces, got none. Train with data.split.test > 0, or name "
            "traces with --traces."
        )
    streamed = bulk.stream(spec, loaded.weights, samples)
    rivals = baselines.predict(fitted, samples) if fitted is not None else {}
    layers = list(map(windows.printed_layer_of, samples.names))
    blocks = bootstrap.cut(samples.first_row, samples.num_rows, rows, layers)
    true = samples.targets[rows]
    found: Found = {
        "test": {
            "num_traces": len(samples.names),
            "num_layers": len(set(layers)),
            "num_samples": int(rows.sum()),
            **_accuracy(spec, true, streamed[rows]),
            "percentiles": metrics.percentiles(true, streamed[rows]),
        },
        "horizon": spec.data.horizon,
        "period_us": 1e6 / spec.data.sample_rate_hz,
        "intervals": measure_intervals(samples, streamed, blocks),
        "dynamic": breakdown.measure_dynamic(samples, streamed, rows, spec.data, labels),
        "per_trace": breakdown.per_trace(samples, streamed, rows),
        "breakdown": breakdown.measure(samples, streamed, rows, spec.data, labels),
        "latency": measure_latency(loaded, samples),
    }
    in_window = rows & bulk.has_window(samples, spec.data.window)
    if in_window.any():
        windowed = bulk.from_windows(spec, loaded.weights, samples)
        found["window"] = _accuracy(spec, samples.targets[in_window], windowed[in_window])
    found |= _judge_rivals(spec, samples, streamed, rivals, blocks)
    modes = fitted.modes if fitted is not None else ()
    found["identified"] = {
        name: mode._asdict() for name, mode in zip(axis_names(spec), modes, strict=False)
    }
    found["ceiling"] = share_of(ceiling, found["test"]["overall"])
    found["targets"] = judge(spec.targets, found)
    found["meets_all_targets"] = all(entry["is_met"] for entry in found["targets"].values())
    return Assessment(found, streamed)


def measure_intervals(
    samples: Samples, predicted: Float[ndarray, "rows k"], blocks: Blocks
) -> dict[str, Any]:
    """95% intervals of the headline figures, and how they were found."""
    sums = bootstrap.summarize(samples.targets, predicted, blocks)
    return {
        **bootstrap.intervals(sums),
        "confidence": bootstrap.CONFIDENCE,
        "method": f"block bootstrap, {bootstrap.NUM_RESAMPLES} resamples of {blocks.method}",
        "num_blocks": blocks.num_blocks,
    }


def _judge_rivals(
    spec: Spec,
    samples: Samples,
    streamed: Float32[ndarray, "rows k"],
    rivals: Mapping[str, Float[ndarray, "rows k"]],
    blocks: Blocks,
) -> dict[str, Any]:
    """Each baseline's figures, and how the model does against the best of them."""
    rows = blocks.of_row >= 0
    measured = {
        name: _accuracy(spec, samples.targets[rows], predicted[rows])
        for name, predicted in rivals.items()
    }
    if not measured:
        return {"baselines": {}, "best_baseline": None, "against_best_baseline": None}
    best = min(measured, key=lambda name: measured[name]["overall"]["rmse_mm"])
    ours, theirs = (
        bootstrap.summarize(samples.targets, predicted, blocks)
        for predicted in (streamed, rivals[best])
    )
    return {
        "baselines": measured,
        "best_baseline": best,
        "against_best_baseline": against(best, bootstrap.compare(ours, theirs)),
    }


def against(name: str, found: Mapping[str, Paired]) -> dict[str, Any]:
    """How the model compares with a baseline, and one sentence that says so."""
    keys = {"rmse_ratio": "rmse_ratio", "mae_ratio": "mae_ratio", "r2_difference": "r2"}
    values = {key: found[of].value for key, of in keys.items()}
    return {
        "name": name,
        **values,
        "intervals": {key: found[of].interval for key, of in keys.items()},
        "sentence": _sentence(name, found["rmse_ratio"]),
    }


def _sentence(name: str, ratio: Paired) -> str:
    rival = f"the best baseline ({name})"
    if ratio.value is None:
        return f"Nothing can be said against {rival}, since it makes no error."
    reached = f"its RMSE is {ratio.value:.2f} times the baseline's"
    if ratio.interval is None:
        return f"Against {rival}, {reached}; too few samples to tell that from chance."
    low, high = ratio.interval
    reached += f" (95% interval {low:.2f} to {high:.2f})"
    if high < 1:
        return f"The network beats {rival}: {reached}."
    if low > 1:
        return f"The network does not beat {rival}: {reached}."
    return f"The network and {rival} do not differ beyond chance: {reached}."


def share_of(ceiling: Mapping[str, Any] | None, overall: Mapping[str, Any]) -> dict | None:
    """The ceiling, and how much of it was reached; None where there is none.

    `r2_share` and `explained_share` are the explained part of the variance that anyone can explain,
    `mae_share` the ceiling's MAE as part of the model's: 1 is as good as possible.
    """
    if ceiling is None:
        return None
    best_r2, r2 = ceiling["r2"], overall["r2"]
    share = r2 / best_r2 if best_r2 and r2 is not None else None
    mae_share = ceiling["mae_mm"] / overall["mae_mm"] if overall["mae_mm"] else None
    return {**ceiling, "r2_share": share, "explained_share": share, "mae_share": mae_share}


def measure_latency(loaded: Loaded, samples: Samples) -> dict[str, Any]:
    """Latency of the deployed predictor, one sample at a time, on this machine."""
    # Traces of others may hold what this model was not made for; that is still a call to time.
    predictor = Predictor(loaded, mode="hold")
    longest = int(np.argmax(samples.num_rows))
    first, num_rows = samples.first_row[longest], samples.num_rows[longest]
    rows = samples.features[first : first + num_rows].tolist()
    return {
        **timing.measure(predictor.step, rows, NUM_TIMED_CALLS, restart_fn=predictor.reset),
        "limit_us": 1e3 * loaded.spec.targets.inference_ms,
        "period_us": 1e6 / loaded.spec.data.sample_rate_hz,
    }


def judge(targets: Targets, found: Found) -> dict[str, dict[str, Any]]:
    """Each target with what was reached; the time that counts is the 99th percentile."""
    overall = found["test"]["overall"]
    inference_ms = found["latency"]["p99_us"] / 1e3
    return {
        "mae_mm": _verdict(targets.mae_mm, overall["mae_mm"], overall["mae_mm"] <= targets.mae_mm),
        "r2": _verdict(
            targets.r2, overall["r2"], overall["r2"] is not None and overall["r2"] >= targets.r2
        ),
        "inference_ms": _verdict(
            targets.inference_ms, inference_ms, inference_ms <= targets.inference_ms
        ),
    }


def axis_names(spec: Spec) -> list[str]:
    """As `spec.axis_of` each target."""
    return list(map(axis_of, spec.data.targets))


def _accuracy(
    spec: Spec, true: Float[ndarray, "n k"], predicted: Float[ndarray, "n k"]
) -> dict[str, Any]:
    axes = {
        name: metrics.measure(true[:, i], predicted[:, i])._asdict()
        for i, name in enumerate(axis_names(spec))
    }
    return {"overall": metrics.measure(true, predicted)._asdict(), **axes}


def _verdict(goal: float, value: float | None, is_met: bool) -> dict[str, Any]:
    return {"goal": goal, "value": value, "is_met": bool(is_met)}


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
    assessed = assess(loaded, samples, kept.labels, kept.fitted, best)
    assessed.found.update(best_epoch=loaded.best_epoch, is_finished=loaded.is_finished)
    files.write_json(run.path / (METRICS_OF_OTHERS if chosen else METRICS), assessed.found)
    return Evaluated(loaded, samples, assessed)
