"""Words of an evaluation: the sentences and tables that terminal, report and model card show.

Lengths are in um with two decimals, R2 and correlations have four, times of a call in us one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxcorr import metrics
from jaxcorr.deploy.model_card import Judgement
from jaxcorr.evaluation.tracks import short_name
from jaxcorr.metrics import Accuracy, Ceiling, Evaluation, Group, Intervals, Verdict
from jaxcorr.units import count

UNDEFINED = "n/a"
# Key and heading of each metric; those in mm are shown in um.
METRICS = {
    "mae_mm": "MAE um",
    "rmse_mm": "RMSE um",
    "r2": "R2",
    "correlation": "correlation",
    "max_mm": "largest um",
}
ACCURACY_COLUMNS = ("", *METRICS.values())
GROUP_COLUMNS = ("", "samples", "true RMS um", "MAE um", "RMSE um", "R2")
KINDS = {
    "feature_type": "by kind of line",
    "speed": "by speed",
    "corner_distance": "by way since the last corner or stop",
    "acceleration": "by acceleration",
    "feedrate": "by feedrate",
}
BASELINES = {
    "zero": "no prediction",
    "mean": "the mean training error",
    "linear_fir": "a linear regression on past velocities",
    "linear_binned": "that, by direction and speed",
    "physics": "the plant of each axis, identified",
}
TIMES = {
    "p50_us": "p50",
    "p90_us": "p90",
    "p99_us": "p99",
    "p99_9_us": "p99.9",
    "max_us": "slowest",
    "limit_us": "limit",
    "period_us": "sampling period",
}


class Table(NamedTuple):
    """A table; the first text of each row is its heading."""

    caption: str
    columns: tuple[str, ...]
    rows: list[list[str]]


class Headline(NamedTuple):
    """One figure at the top of the page: its value, its interval, and the best possible."""

    name: str
    value: str
    interval: str
    best: str


def um(value_mm: float | None) -> str:
    """A length in um, with two decimals."""
    return _fixed(None if value_mm is None else 1e3 * value_mm, 2)


def ratio(value: float | None) -> str:
    """R2 or a correlation, with four decimals."""
    return _fixed(value, 4)


def percent(share: float | None) -> str:
    """A share as per cent, with two decimals."""
    return UNDEFINED if share is None else f"{_fixed(100 * share, 2)}%"


def figure(value: float | None, key: str) -> str:
    """A metric by its key: a length in um, or a ratio."""
    return um(value) if key.endswith("_mm") else ratio(value)


def bounds(interval: Sequence[float] | None, key: str) -> str:
    """Both ends of an interval of a metric, by its key."""
    return UNDEFINED if interval is None else " to ".join(figure(end, key) for end in interval)


def typeset(text: str) -> str:
    """A text with the signs of print, for the page: µm and R²."""
    return re.sub(r"\bR2\b", "R²", re.sub(r"\bum\b", "µm", re.sub(r"\bus\b", "µs", text)))


def verdict(evaluation: Evaluation) -> str:
    """The first sentence: how well the model predicts, and whether the targets are met."""
    test, targets = evaluation.test, evaluation.targets
    verdicts = {"MAE": targets.mae_mm, "R2": targets.r2, "time": targets.inference_ms}
    missed = [name for name, one in verdicts.items() if not one.is_met]
    end = f"misses its target for {' and '.join(missed)}" if missed else "meets all its targets"
    return (
        f"The network predicts the error to {um(test.overall.mae_mm)} um on average "
        f"(R2 {ratio(test.overall.r2)}), {streamed_over(evaluation)}, and {end}."
    )


def streamed_over(evaluation: Evaluation) -> str:
    """What was predicted, and how."""
    test = evaluation.test
    return (
        f"over {count(test.num_samples, 'sample')} of {count(test.num_traces, 'trace')} "
        f"({count(test.num_layers, 'layer')}), streamed one by one"
    )


def headlines(evaluation: Evaluation) -> list[Headline]:
    """MAE, RMSE, R2 and correlation with their intervals, and what the ceiling leaves possible."""
    overall, best = evaluation.test.overall.model_dump(), {}
    if evaluation.ceiling:
        best = evaluation.ceiling.model_dump(include={"mae_mm", "rmse_mm", "r2"})
    shown = []
    for key, interval in _intervals(evaluation.intervals).items():
        name, _, unit = METRICS[key].partition(" ")
        value = f"{figure(overall[key], key)} {unit}".rstrip()
        possible = f"best possible {figure(best[key], key)} {unit}".rstrip() if key in best else ""
        shown.append(Headline(name, value, bounds(interval, key) if interval else "", possible))
    return shown


def accuracy_table(evaluation: Evaluation) -> Table:
    """Overall with its interval, each axis, and predictions from windows."""
    test, window = evaluation.test, evaluation.window
    intervals = [bounds(one, key) for key, one in _intervals(evaluation.intervals).items()]
    rows = [
        accuracy_row("overall", test.overall),
        [f"{100 * evaluation.intervals.confidence:g}% interval", *intervals, ""],
        *(accuracy_row(name, axis) for name, axis in test.axes.items()),
    ]
    if window is not None:
        rows.append(accuracy_row("overall, window from zero", window.overall))
    return Table("accuracy, streamed sample by sample", ACCURACY_COLUMNS, rows)


def accuracy_row(name: str, accuracy: Accuracy | Ceiling) -> list[str]:
    """A heading and the metrics; empty where there is no such metric."""
    values = accuracy.model_dump()
    return [name, *(figure(values[key], key) if key in values else "" for key in METRICS)]


def percentile_sentence(evaluation: Evaluation) -> str:
    """Percentiles of the absolute residual."""
    listed = ", ".join(
        f"{name.removeprefix('p').removesuffix('_mm')}% within {um(value)} um"
        for name, value in evaluation.test.percentiles.items()
    )
    return f"Absolute residuals: {listed}."


def interval_sentence(evaluation: Evaluation) -> str:
    """How the intervals were found."""
    intervals = evaluation.intervals
    return f"Intervals: {intervals.method}, {count(intervals.num_blocks, 'block')}."


def baselines_table(evaluation: Evaluation) -> Table:
    """The network, its baselines and the ceiling on the same samples, best RMSE first."""
    overall = {name: one.overall for name, one in evaluation.baselines.items()}
    overall["network"] = evaluation.test.overall
    order = sorted(overall, key=lambda name: overall[name].rmse_mm)
    rows = [accuracy_row(name, overall[name]) for name in order]
    if evaluation.ceiling:
        rows.insert(0, accuracy_row("noise ceiling", evaluation.ceiling))
    return Table("on the same samples, best RMSE first", ACCURACY_COLUMNS, rows)


def baselines_sentence(evaluation: Evaluation) -> str:
    """What each baseline is, and what the one of physics identified."""
    listed = "; ".join(f"{name}: {BASELINES[name]}" for name in evaluation.baselines)
    axes = ", ".join(
        f"{axis} {found.frequency_hz:.2f} Hz with damping ratio {found.damping_ratio:.3f} and "
        f"friction of {1e3 * found.friction_mm:.1f} um, {100 * found.unexplained_share:.2f}% of "
        "the variance unexplained"
        for axis, found in evaluation.identified.items()
    )
    return f"{listed}{f' ({axes})' if axes else ''}."


def ceiling_sentence(evaluation: Evaluation) -> str:
    """How near the network is to what noise leaves possible; empty where that is not known."""
    best = evaluation.ceiling
    if best is None:
        return ""
    text = (
        f"The noise ceiling lets nobody do better than MAE {um(best.mae_mm)} um and R2 "
        f"{ratio(best.r2)} (the same layers simulated {best.repetitions} times with other random "
        "numbers)."
    )
    if best.explained_share is not None and best.mae_share:
        text += (
            f" The network explains {percent(best.explained_share)} of the variance that anyone "
            f"can explain; its MAE is {1 / best.mae_share:.2f} times the best possible."
        )
    return text


def dynamic_sentence(evaluation: Evaluation) -> str:
    """R2 of the error without friction's offset; empty where the offset is not known."""
    dynamic = evaluation.dynamic
    if dynamic is None:
        return ""
    return (
        f"Without the offset that friction leaves in the direction of travel ({dynamic.offset}), "
        f"{um(dynamic.rms_mm)} um RMS of dynamics remain; of that part alone the network reaches "
        f"R2 {ratio(dynamic.r2)}."
    )


def breakdown_tables(evaluation: Evaluation) -> list[Table]:
    """A table for each kind of band that the traces tell."""
    return [
        Table(KINDS[kind], GROUP_COLUMNS, [_group_row(band.label, band) for band in bands])
        for kind, bands in evaluation.breakdown.items()
    ]


def traces_table(evaluation: Evaluation) -> Table:
    """A row a trace, worst first."""
    traces = sorted(evaluation.per_trace, key=lambda one: -one.rmse_mm)
    rows = [_group_row(short_name(one.part, one.name), one) for one in traces]
    return Table("by trace, worst first", GROUP_COLUMNS, rows)


def latency_table(evaluation: Evaluation) -> Table:
    """Quantiles of the time of single calls, beside the limit and the sampling period."""
    times = evaluation.latency.model_dump()
    values = [_fixed(times[key], 1) for key in TIMES]
    return Table("time of a prediction", ("", *TIMES.values()), [["us", *values]])


def latency_sentence(evaluation: Evaluation) -> str:
    """The 99th percentile beside the limit and the sampling period."""
    latency = evaluation.latency
    of_limit, of_period = (
        f"{100 * latency.p99_us / whole_us:.2g}% of the {name} of {whole_us / 1e3:g} ms"
        for name, whole_us in (
            ("limit", latency.limit_us),
            ("sampling period", latency.period_us),
        )
    )
    return (
        f"The Python predictor took one sample at a time, its state carried on, in "
        f"{latency.num_calls:,} calls after warm-up, where the run was evaluated. At the 99th "
        f"percentile a prediction takes {_fixed(latency.p99_us, 1)} us: {of_limit} and {of_period}."
    )


def targets_table(evaluation: Evaluation) -> Table:
    """Each target of the spec, what was reached, and the verdict."""
    targets = evaluation.targets
    rows = [
        _target_row("MAE", "at most", targets.mae_mm, lambda value: f"{um(value)} um"),
        _target_row("R2", "at least", targets.r2, ratio),
        _target_row(
            "time of a prediction, p99",
            "at most",
            targets.inference_ms,
            lambda value: f"{_fixed(None if value is None else 1e3 * value, 1)} us",
        ),
    ]
    return Table("targets of the spec", ("", "goal", "reached", "verdict"), rows)


def for_card(path: Path) -> Judgement | None:
    """What the model card says of accuracy and latency; None before an evaluation.

    Args:
        path: of the run's metrics.json.
    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return None
    evaluation = metrics.read(path)
    table = accuracy_table(evaluation)
    sentences = (
        verdict(evaluation),
        interval_sentence(evaluation),
        percentile_sentence(evaluation),
        ceiling_sentence(evaluation),
        evaluation.against_best_baseline.sentence,
    )
    return Judgement(
        columns=table.columns,
        rows=table.rows,
        sentences=tuple(filter(None, sentences)),
        latency=latency_sentence(evaluation),
    )


def _target_row(
    name: str, sign: str, one: Verdict, form_fn: Callable[[float | None], str]
) -> list[str]:
    mark = "met" if one.is_met else "missed"
    return [name, f"{sign} {form_fn(one.goal)}", form_fn(one.value), mark]


def _group_row(name: str, group: Group) -> list[str]:
    lengths = map(um, (group.true_rms_mm, group.mae_mm, group.rmse_mm))
    return [name, f"{group.num_samples:,}", *lengths, ratio(group.r2)]


def _intervals(intervals: Intervals) -> Mapping[str, Sequence[float] | None]:
    """By key of the metric."""
    return {
        "mae_mm": intervals.mae_mm,
        "rmse_mm": intervals.rmse_mm,
        "r2": intervals.r2,
        "correlation": intervals.correlation,
    }


def _fixed(value: float | None, digits: int) -> str:
    # Adding zero keeps a rounded -0.00004 from showing as -0.0000.
    return UNDEFINED if value is None else f"{round(value, digits) + 0.0:.{digits}f}"
