"""Prediction metrics, and the types of an evaluation, which a run's metrics.json holds.

All sums run in float64, whatever comes in.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pydantic import model_serializer, model_validator

from jaxcorr import schema
from jaxcorr.schema import Record

PERCENTILES = (50, 90, 95, 99)
FILE = "metrics.json"  # in a run folder, of its own test traces
FILE_OF_OTHERS = "metrics_traces.json"  # in a run folder, of traces named with --traces

Outcome = Literal["better", "worse", "level", "wild", "unknown"]
PathName = Literal["none", "plant", "smooth"]  # as model.path of a spec
Advice = Literal["model", "plant", "smooth", "mean", "zero", "baseline", "more_traces"]


class Interval(NamedTuple):
    """Bounds between which a figure lies with the confidence that is said beside it."""

    low: float
    high: float


class Accuracy(Record):
    """Accuracy of one set of predictions; `r2` and `correlation` are None where undefined."""

    mae_mm: float
    rmse_mm: float
    r2: float | None
    correlation: float | None
    max_mm: float


class _ByAxis(Record):
    """A record whose entries of `axes` are keys of its own in JSON: `x` stands beside `overall`."""

    @model_validator(mode="before")
    @classmethod
    def _gather_axes(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "axes" in content:
            return content
        own = {key: value for key, value in content.items() if key in cls.model_fields}
        return own | {"axes": {key: content[key] for key in content if key not in own}}

    @model_serializer(mode="wrap")
    def _spread_axes(self, serialize_fn: Any) -> dict[str, Any]:
        content = serialize_fn(self)
        return content | content.pop("axes")


class AccuracyByAxis(_ByAxis):
    """Accuracy over all axes together, and of each by its name, such as `x`."""

    overall: Accuracy
    axes: dict[str, Accuracy]


class StreamedAccuracy(AccuracyByAxis):
    """Accuracy of streamed predictions, how much they were of, and how large residuals are.

    Attributes:
        percentiles: of the absolute residual (mm) over all samples and axes, such as `p50_mm`.
        num_in_motion: traces that begin in motion.
        num_before: samples at their starts that are predicted and not scored, `bulk.is_scored`.
    """

    num_traces: int
    num_layers: int
    num_samples: int
    percentiles: dict[str, float]
    num_in_motion: int = 0
    num_before: int = 0


class Intervals(Record):
    """Intervals of the figures over all axes, and how they were found; None where undefined."""

    mae_mm: Interval | None
    rmse_mm: Interval | None
    r2: Interval | None
    correlation: Interval | None
    confidence: float
    method: str
    num_blocks: int


class RatioIntervals(Record):
    """Intervals of the figures of `AgainstBaseline`."""

    rmse_ratio: Interval | None
    mae_ratio: Interval | None
    r2_difference: Interval | None


class AgainstBaseline(Record):
    """The model's figures in relation to a baseline's.

    Attributes:
        name: the baseline's.
        outcome: of the model, by the interval of `rmse_ratio`: better (all below 1), worse (all
            above it, or a baseline without error), level within chance, or unknown without one;
            wild where it would be better, but for a largest residual far beyond the baseline's.
        largest_ratio: of the model's largest residual to the baseline's.
    """

    name: str
    outcome: Outcome
    rmse_ratio: float | None
    mae_ratio: float | None
    r2_difference: float | None
    largest_ratio: float | None
    intervals: RatioIntervals


class IdentifiedAxis(Record):
    """One axis as the baseline `physics` found it."""

    frequency_hz: float  # undamped
    damping_ratio: float
    friction_mm: float  # force by stiffness
    friction_velocity_mm_s: float
    unexplained_share: float  # of the error's variance, in training


class Ceiling(Record):
    """The best that anyone can do on these traces, found from repetitions.

    Attributes:
        repetitions: of a plan, at most.
        is_measured: the traces repeat plans themselves; else they were simulated again.
        num_samples: that belong to repeated plans; None where all do.
    """

    repetitions: int
    is_measured: bool = False
    num_samples: int | None = None
    r2: float | None
    rmse_mm: float
    mae_mm: float


class ReachedCeiling(Ceiling):
    """A ceiling and how much of it a model reached; None where undefined.

    Attributes:
        explained_share: explained part of the variance that anyone can explain.
        mae_share: the ceiling's MAE as part of the model's; 1 is as good as possible.
    """

    explained_share: float | None
    mae_share: float | None


class DynamicAccuracy(Record):
    """Accuracy on the error without friction's offset: R2, its RMS, and the residual's."""

    r2: float | None
    rms_mm: float
    rmse_mm: float


class Dynamics(DynamicAccuracy, _ByAxis):
    """The error without friction's offset, over all axes and for each.

    Attributes:
        offset: where the offset comes from.
        share_of_variance: of the whole error, that is left without the offset.
    """

    offset: str
    share_of_variance: float | None
    axes: dict[str, DynamicAccuracy]


class Group(Record):
    """Accuracy on some of the samples."""

    num_samples: int
    mae_mm: float
    rmse_mm: float
    r2: float | None
    true_rms_mm: float


class Band(Group):
    """Accuracy on samples of one kind of line, speed, and so on."""

    label: str


class TraceAccuracy(Group):
    """Accuracy on one trace."""

    name: str
    part: str


class Latency(Record):
    """Times of single calls of the deployed predictor (us), beside what they have to keep to."""

    p50_us: float
    p90_us: float
    p99_us: float
    p99_9_us: float
    max_us: float
    mean_us: float
    calls_per_s: float
    num_calls: int
    limit_us: float
    period_us: float


class ReachedTarget(Record):
    """A target of the spec and what was reached; None where that is undefined."""

    goal: float
    value: float | None
    is_met: bool


class ReachedTargets(Record):
    """The targets of a spec; the time that counts is the 99th percentile."""

    mae_mm: ReachedTarget
    r2: ReachedTarget
    inference_ms: ReachedTarget


class Verdict(Record):
    """Whether a model is worth using: against baselines, the noise ceiling and its targets.

    Attributes:
        path: what runs beside the network; none too where the plant was of no use.
        has_network: false where the path alone was the best.
        against_best: against the baseline with the least RMSE; of a path alone, which equals its
            own baseline, against the best other one.
        against_path: a network against its path alone; None without network or path.
        ceiling_rmse_ratio: RMSE of the model to that of the noise ceiling; None without one.
        meets_targets: whether it meets the numbers of its spec.
        beats_baselines: whether it is better than both of the above beyond chance.
        meets_all_targets: both of it.
        advice: what to use: this model, the path alone (`plant`, `smooth`), a constant (`mean`,
            `zero`), a baseline that cannot run as a path on these inputs, or first more traces.
    """

    path: PathName
    has_network: bool
    against_best: AgainstBaseline
    against_path: AgainstBaseline | None
    ceiling_rmse_ratio: float | None
    meets_targets: bool
    beats_baselines: bool
    meets_all_targets: bool
    advice: Advice


class Evaluation(Record):
    """How good a model is on traces, with all that it is compared with.

    Attributes:
        verdict: the first thing to read.
        test: streamed from the first sample of each trace, as control code has it.
        window: each prediction from a window run from zero, as the reference measures; None where
            no trace is as long as a window.
        horizon: samples from the newest one to the predicted error.
        period_us: from sample to sample.
        baselines: by name, on the same samples.
        identified: by axis; empty where the baseline `physics` could not be fitted.
        ceiling: None where traces are not simulated, or of others.
        dynamic: None where friction's offset is in no trace and cannot be fitted.
        breakdown: by kind (`speed`, ...); a kind of which nothing is known is not there.
        best_epoch: whose weights they are, 0 before the first.
        is_finished: whether the training had ended.
    """

    verdict: Verdict
    test: StreamedAccuracy
    window: AccuracyByAxis | None
    horizon: int
    period_us: float
    intervals: Intervals
    baselines: dict[str, AccuracyByAxis]
    identified: dict[str, IdentifiedAxis]
    ceiling: ReachedCeiling | None
    dynamic: Dynamics | None
    per_trace: tuple[TraceAccuracy, ...]
    breakdown: dict[str, tuple[Band, ...]]
    latency: Latency
    targets: ReachedTargets
    best_epoch: int
    is_finished: bool


def read(path: Path) -> Evaluation:
    """The evaluation that a file such as metrics.json holds.

    Raises:
        InputError: the file cannot be read, or a key is missing, unknown or of another type.
    """
    mend = "Evaluate the run again."
    return schema.read_record(Evaluation, path, mend, mend)


def measure(true: Float[ndarray, "n *axes"], predicted: Float[ndarray, "n *axes"]) -> Accuracy:
    """Metrics over all entries of n samples; for several axes, over their pooled entries.

    R2 of several axes is 1 - (sum of squared residuals) / (sum of squared deviations from each
    axis's own mean), so an axis offset explains nothing. R2 is None where the truth is constant,
    the correlation also where the prediction is.

    Args:
        true: errors that happened (mm).
        predicted: errors that were predicted (mm).
    Raises:
        ValueError: the shapes differ or there is no sample.
    """
    if true.shape != predicted.shape or not len(true):
        raise ValueError(f"expected equal, non-empty shapes, got {true.shape}, {predicted.shape}")
    true, predicted = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
    residual = predicted - true
    deviation, spread = _centre(true), _centre(predicted)
    variance, power = np.sum(deviation**2), np.sum(spread**2)
    product = np.sqrt(variance) * np.sqrt(power)
    r2 = float(1.0 - np.sum(residual**2) / variance) if variance else None
    correlation = float(np.sum(deviation * spread) / product) if product else None
    return Accuracy(
        mae_mm=float(np.mean(np.abs(residual))),
        rmse_mm=float(np.sqrt(np.mean(residual**2))),
        r2=r2,
        correlation=correlation,
        max_mm=float(np.max(np.abs(residual))),
    )


def _centre(values: Float[ndarray, "n *axes"]) -> Float[ndarray, "n *axes"]:
    """Deviations from each axis's mean; exactly zero where an axis is constant.

    Counted from the first sample, a constant is zero before any sum can leave rounding noise.
    """
    from_first = values - values[0]
    return from_first - from_first.mean(axis=0)


def percentiles(
    true: Float[ndarray, "n axes"], predicted: Float[ndarray, "n axes"]
) -> dict[str, float]:
    """Percentiles of the absolute residual over all samples and axes, such as `p50_mm` (mm)."""
    residual = np.abs(np.asarray(predicted, np.float64) - np.asarray(true, np.float64))
    values = np.percentile(residual, PERCENTILES)
    return {f"p{p}_mm": float(value) for p, value in zip(PERCENTILES, values, strict=True)}
