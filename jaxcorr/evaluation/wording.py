"""Words of an evaluation: the sentences and tables that terminal, report and model card show.

Lengths are in um with two decimals, R2 and correlations have four, times of a call in us one;
how many times a baseline's error, two or as many as keep it off 1.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxcorr import metrics
from jaxcorr.evaluation.tracks import short_name
from jaxcorr.export.model_card import Judgement
from jaxcorr.metrics import (
    Accuracy,
    AgainstBaseline,
    Ceiling,
    Evaluation,
    Group,
    Interval,
    Intervals,
    ReachedTarget,
    Verdict,
)
from jaxcorr.models.bulk import LEAD_S
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
    "linear_smooth": "a regression on smooth functions of velocity",
    "physics": "the identified plant",
}
# What is judged: in a sentence, and in a table of baselines.
NETWORKS = {
    "none": ("the network", "network"),
    "plant": ("the network beside the identified plant", "plant and network"),
    "smooth": ("the network beside a smooth regression", "regression and network"),
}
PATHS = {
    "plant": ("the identified plant alone, without a network,", "this run, the plant alone"),
    "smooth": ("the smooth regression alone, without a network,", "this run, the regression alone"),
}
RELATIONS = {
    "better": "beats {}",
    "worse": "does worse than {}",
    "level": "is level with {} within chance",
    "wild": "does better on average than {} and far worse at its worst",
    "unknown": "was given too few samples to tell it from {}",
}
ADVICE = {
    "model": "no baseline does better",
    "plant": "use the plant alone: model.path = 'plant', train.epochs = 0 "
    "(specs/small_physics.toml has the path with a small network)",
    "smooth": "use the smooth regression alone: model.path = 'smooth', train.epochs = 0",
    "mean": "the mean error of the training would do, without a model",
    "zero": "no prediction at all would do",
    "baseline": "that baseline cannot run as a path on these features, so train longer or on more",
    "more_traces": "evaluate on more traces before using it",
}
SHORT_ADVICE = {
    "plant": "the plant alone",
    "smooth": "the regression alone",
    "mean": "the mean",
    "zero": "no prediction",
    "baseline": "a baseline",
    "more_traces": "needs more traces",
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


def difference(value: float | None, key: str) -> str:
    """A difference of a metric, by its key, with two digits more than the metric has."""
    factor, digits = (1e3, 4) if key.endswith("_mm") else (1.0, 6)
    return _fixed(None if value is None else factor * value, digits)


def typeset(text: str) -> str:
    """A text with the signs of print, for the page: µm and R²."""
    return re.sub(r"\bR2\b", "R²", re.sub(r"\bum\b", "µm", re.sub(r"\bus\b", "µs", text)))


def verdict(evaluation: Evaluation) -> str:
    """The first lines: against the best baseline and the ceiling, the targets, what to use."""
    return f"{standing(evaluation.verdict)} {recommendation(evaluation)}"


def standing(judged: Verdict) -> str:
    """The first sentence: how the model stands against the best baseline and the noise ceiling."""
    best, is_own = judged.against_best, judged.against_best == judged.against_path
    role = "the best baseline" if judged.has_network else "the best other baseline"
    text = _compare(judged, best, f" ({role}{', and its own path' if is_own else ''})")
    if judged.ceiling_rmse_ratio is not None:
        text += f", and {judged.ceiling_rmse_ratio:.2f} times that of the noise ceiling"
    return f"{text}."


def path_sentence(judged: Verdict) -> str:
    """A network against its path alone; empty where that is said already, or there is no path."""
    path = judged.against_path
    return f"{_compare(judged, path)}." if path and path != judged.against_best else ""


def recommendation(evaluation: Evaluation) -> str:
    """Whether it meets its targets and beats the baselines, and otherwise what to use instead."""
    judged, targets = evaluation.verdict, evaluation.targets
    reached = {"MAE": targets.mae_mm, "R2": targets.r2, "time": targets.inference_ms}
    missed = " and ".join(name for name, one in reached.items() if not one.is_met)
    if judged.meets_all_targets:
        return "It meets all targets, and no baseline does better."
    text = f"misses its target for {missed}" if missed else "meets its targets for MAE, R2 and time"
    if not judged.beats_baselines:
        compared = filter(None, (judged.against_best, judged.against_path))
        one = next(one for one in compared if one.outcome != "better")
        how = "in its largest residual" if one.outcome == "wild" else "beyond chance"
        joint = "and" if missed else "but"
        text += f", {joint} does not beat {BASELINES[one.name]} {how}"
    return f"It {text}; {_advice(judged)}."


def short_advice(judged: Verdict) -> str:
    """What to use, for a cell of a table."""
    if judged.advice == "model":
        return NETWORKS[judged.path][1] if judged.has_network else SHORT_ADVICE[judged.path]
    return SHORT_ADVICE[judged.advice]


def accuracy_sentence(evaluation: Evaluation) -> str:
    """How well the error is predicted, and over how much."""
    overall = evaluation.test.overall
    return (
        f"The error is predicted to {um(overall.mae_mm)} um on average (R2 {ratio(overall.r2)}), "
        f"{streamed_over(evaluation)}.{_begun_in_motion(evaluation)}"
    )


def _begun_in_motion(evaluation: Evaluation) -> str:
    """What is left out where a trace begins in motion, as a further sentence; or nothing."""
    test = evaluation.test
    if not test.num_in_motion:
        return ""
    which = "1 trace begins" if test.num_in_motion == 1 else f"{test.num_in_motion} traces begin"
    return (
        f" {which} in motion: what came before is not known there, so the first "
        f"{1e3 * LEAD_S:g} ms, or half of a shorter trace, are predicted but not scored "
        f"({count(test.num_before, 'sample')})."
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
    """The model, its baselines and the ceiling on the same samples, best RMSE first."""
    overall = {name: one.overall for name, one in evaluation.baselines.items()}
    overall[_names(evaluation.verdict)[1]] = evaluation.test.overall
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
    """How near the model is to what noise leaves possible; empty where that is not known."""
    best = evaluation.ceiling
    if best is None:
        return ""
    how = f"the same layers simulated {best.repetitions} times with other random numbers"
    if best.is_measured:
        over = "all of them" if best.num_samples is None else count(best.num_samples, "sample")
        how = f"the traces repeat the same plan up to {best.repetitions} times: {over}"
    text = (
        f"The noise ceiling lets nobody do better than MAE {um(best.mae_mm)} um, RMSE "
        f"{um(best.rmse_mm)} um and R2 {ratio(best.r2)} ({how})."
    )
    if best.explained_share is not None and best.mae_share:
        text += (
            f" The model explains {percent(best.explained_share)} of the variance that anyone "
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
        f"{um(dynamic.rms_mm)} um RMS of dynamics remain; of that part alone the model reaches "
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
            "time of a call, p99",
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
        accuracy_sentence(evaluation),
        interval_sentence(evaluation),
        percentile_sentence(evaluation),
        ceiling_sentence(evaluation),
        path_sentence(evaluation.verdict),
    )
    return Judgement(
        verdict=verdict(evaluation),
        columns=table.columns,
        rows=table.rows,
        sentences=tuple(filter(None, sentences)),
        latency=latency_sentence(evaluation),
    )


def _names(judged: Verdict) -> tuple[str, str]:
    """What is judged, in a sentence and in a table."""
    return (NETWORKS if judged.has_network else PATHS)[judged.path]


def _compare(judged: Verdict, one: AgainstBaseline, role: str = "") -> str:
    relation = RELATIONS[one.outcome].format(BASELINES[one.name] + role)
    subject = _names(judged)[0]
    text = f"{subject[0].upper()}{subject[1:]} {relation}"
    if one.rmse_ratio is None:
        return f"{text}, which makes no error here"
    times, interval = _times(one.rmse_ratio, one.intervals.rmse_ratio)
    text += f": its RMSE is {times} times the baseline's{interval}"
    is_wild = one.outcome == "wild"
    return f"{text}, its largest residual {one.largest_ratio:.1f} times" if is_wild else text


def _times(value: float, interval: Interval | None) -> tuple[str, str]:
    """A ratio and its interval, with two digits at least, and enough to tell them from 1."""
    values, digits = [value, *(interval or ())], 2
    while digits < 4 and (value < 10 ** (1 - digits) or 1 in [round(v, digits) for v in values]):
        digits += 1
    shown = [f"{one:.{digits}f}" for one in values]
    return shown[0], f" (95% interval {shown[1]} to {shown[2]})" if interval else ""


def _advice(judged: Verdict) -> str:
    """What to use; a run with a path has its spec already."""
    if judged.advice == "model" and not judged.beats_baselines:
        return "either can be used"
    if judged.has_network and judged.advice == judged.path:
        return f"{ADVICE[judged.advice].split(':')[0]}: this spec with train.epochs = 0"
    return ADVICE[judged.advice]


def _target_row(
    name: str, sign: str, one: ReachedTarget, form_fn: Callable[[float | None], str]
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
