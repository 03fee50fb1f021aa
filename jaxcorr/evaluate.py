"""Evaluation of a run on traces it has not seen: what streaming delivers, in figures.

Predictions are those of the deployed predictor, streamed from the first sample of each trace. The
module knows runs, samples and metrics; it prints nothing.
"""

from typing import Any

from jaxtyping import Float32
from numpy import ndarray

from jaxcorr import latency, metrics, predict
from jaxcorr.errors import InputError
from jaxcorr.spec import Spec, Targets
from jaxcorr.stream import Loaded, Predictor
from jaxcorr.windows import Samples

NUM_TIMED_CALLS = 10_000


def evaluate(loaded: Loaded, samples: Samples) -> dict[str, Any]:
    """Accuracy, latency and verdicts of a model on these traces, as plain nested values.

    Keys: `test` (num_traces, num_samples, overall, one entry per axis, percentiles), `window`
    (overall and per axis, each prediction from a window run from zero, as the reference measures),
    `latency` (us), `targets` (goal, value, is_met of each) and `meets_all_targets`.

    Raises:
        InputError: there are no samples to evaluate on.
    """
    spec = loaded.spec
    rows = predict.has_target(samples)
    if not rows.any():
        raise InputError(
            "evaluation: expected test traces, got none. Train with data.split.test > 0, or name "
            "traces with --traces."
        )
    streamed = predict.stream(spec, loaded.weights, samples)
    in_window = rows & predict.has_window(samples, spec.data.window)
    found: dict[str, Any] = {
        "test": {
            "num_traces": len(samples.names),
            "num_samples": int(rows.sum()),
            **_accuracy(spec, samples.targets[rows], streamed[rows]),
            "percentiles": metrics.percentiles(samples.targets[rows], streamed[rows]),
        },
        "latency": measure_latency(loaded, samples),
    }
    if in_window.any():
        windowed = predict.from_windows(spec, loaded.weights, samples)
        found["window"] = _accuracy(spec, samples.targets[in_window], windowed[in_window])
    found["targets"] = judge(spec.targets, found)
    found["meets_all_targets"] = all(entry["is_met"] for entry in found["targets"].values())
    return found


def measure_latency(loaded: Loaded, samples: Samples) -> dict[str, Any]:
    """Latency of the deployed predictor, one sample at a time, on this machine."""
    predictor = Predictor(loaded.spec, loaded.weights)
    rows = samples.features[: min(len(samples.features), NUM_TIMED_CALLS)].tolist()
    return latency.measure(predictor.step, rows, NUM_TIMED_CALLS)


def judge(targets: Targets, found: dict[str, Any]) -> dict[str, dict[str, Any]]:
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
    """`x`, `y` for the targets `error_x`, `error_y`; other targets keep their names."""
    return [name.removeprefix("error_") for name in spec.data.targets]


def _accuracy(
    spec: Spec, true: Float32[ndarray, "n k"], predicted: Float32[ndarray, "n k"]
) -> dict[str, Any]:
    axes = {
        name: metrics.measure(true[:, i], predicted[:, i])._asdict()
        for i, name in enumerate(axis_names(spec))
    }
    return {"overall": metrics.measure(true, predicted)._asdict(), **axes}


def _verdict(goal: float, value: float | None, is_met: bool) -> dict[str, Any]:
    return {"goal": goal, "value": value, "is_met": bool(is_met)}
