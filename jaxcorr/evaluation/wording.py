"""What a report says: an evaluation as sentences and as tables of formatted texts.

It knows the keys of `evaluate.evaluate`; a section whose keys are missing, as in an
older run or on foreign traces, comes out empty. It knows nothing of HTML or figures.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxcorr.evaluation.tracks import short_name

UNDEFINED = "undefined"
# Key, heading, and whether it is a length in mm.
METRICS = (
    ("mae_mm", "MAE / µm", True),
    ("rmse_mm", "RMSE / µm", True),
    ("r2", "R²", False),
    ("correlation", "correlation", False),
    ("max_mm", "largest / µm", True),
)
BREAKDOWNS: dict[str, str] = {
    "feature_type": "By feature",
    "speed": "By speed",
    "corner_distance": "By distance from the last corner",
    "acceleration": "By acceleration of the sweep",
    "feedrate": "By feedrate of the sweep",
}
BASELINES: dict[str, str] = {
    "zero": "no prediction (zero)",
    "mean": "mean of the training errors",
    "linear_fir": "linear, on past velocities",
    "linear_binned": "linear, by direction and speed",
    "physics": "second-order physics, identified",
}
GROUP_COLUMNS = ["", "samples", "MAE / µm", "RMSE / µm", "R²", "true RMS / µm"]
TARGETS: dict[str, str] = {
    "mae_mm": "MAE",
    "r2": "R²",
    "inference_ms": "time of a prediction (99th percentile)",
}


class Table(NamedTuple):
    """A table; the first text of each row is its heading."""

    caption: str
    columns: list[str]
    rows: list[list[str]]


class Headline(NamedTuple):
    """One figure at the top of the page: its value, its interval, its share of the ceiling."""

    name: str
    value: str
    unit: str
    interval: str
    share: str


def um(value_mm: float | None) -> str:
    """Micrometres with three digits that count; below a nanometre it is zero."""
    if value_mm is None:
        return UNDEFINED
    value = 1e3 * value_mm
    if abs(value) < 1e-3:
        return "0"
    digits = max(2 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{min(digits, 3)}f}"


def ratio(value: float | None) -> str:
    """R2 or a correlation, with two digits of what is missing to 1, at least four in all."""
    if value is None:
        return UNDEFINED
    missing = abs(1.0 - value)
    digits = 1 - math.floor(math.log10(missing)) if missing > 1e-6 else 6
    text = f"{value:.{min(max(digits, 4), 6)}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def percent(share: float) -> str:
    """A share as per cent; near the whole, with two digits of what is missing."""
    missing = abs(1.0 - share)
    digits = -1 - math.floor(math.log10(missing)) if 0 < missing < 0.1 else 1
    return f"{100 * share:.{min(max(digits, 1), 3)}f} %"


def verdict(found: Mapping[str, Any], judged_on: str) -> str:
    """The first sentence: what was predicted, how well, and whether the targets are met.

    Args:
        judged_on: what the traces are, such as `4 test traces`.
    """
    test, overall = found["test"], found["test"]["overall"]
    missed = [_called(TARGETS, key) for key, one in found["targets"].items() if not one["is_met"]]
    end = f"misses its target for {' and '.join(missed)}" if missed else "meets all its targets"
    return (
        f"The network predicts the error of {judged_on} to {um(overall['mae_mm'])} µm on average "
        f"(R² {ratio(overall['r2'])}), over {test['num_samples']:,} samples streamed one by one, "
        f"and {end}."
    )


def _called(names: Mapping[str, str], key: str) -> str:
    """What a key is called on the page; a new one goes by its own name."""
    return names.get(key, key)


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def headlines(found: Mapping[str, Any]) -> list[Headline]:
    """MAE, RMSE, R2 and correlation with their intervals; shares where there is a ceiling."""
    intervals, best = found.get("intervals") or {}, found.get("ceiling") or {}
    shares = {
        "mae_mm": f"best possible {um(best['mae_mm'])} µm" if best else "",
        "rmse_mm": f"best possible {um(best['rmse_mm'])} µm" if best else "",
        "r2": f"best possible {ratio(best['r2'])}" if best else "",
    }
    made = []
    for key, heading, is_length in METRICS[:4]:
        form = um if is_length else ratio
        bounds = intervals.get(key)
        interval = f"{form(bounds[0])} to {form(bounds[1])}" if bounds else ""
        value, unit = form(found["test"]["overall"][key]), "µm" if is_length else ""
        name = heading.split(" / ")[0]
        made.append(Headline(name, value, unit, interval, shares.get(key, "")))
    return made


def ceiling_sentence(found: Mapping[str, Any]) -> str:
    """How near the network is to what noise leaves possible."""
    best = found.get("ceiling")
    if not best:
        return ""
    text = (
        f"The data's own noise lets nobody do better than MAE {um(best['mae_mm'])} µm and R² "
        f"{ratio(best['r2'])} (the same layers simulated {best['repetitions']} times with other "
        "random numbers)."
    )
    if best.get("explained_share") is not None:
        share = percent(best["explained_share"])
        text += f" The network explains {share} of the variance that anyone can explain"
        times = (
            f"{1 / best['mae_share']:.2f} times the best possible" if best.get("mae_share") else ""
        )
        text += f"; its MAE is {times}." if times else "."
    return text


def interval_sentence(found: Mapping[str, Any]) -> str:
    intervals = found.get("intervals") or {}
    if not intervals.get("method"):
        return ""
    blocks = f", {intervals['num_blocks']} blocks" if intervals.get("num_blocks") else ""
    return f"Intervals hold 95 %: {intervals['method']}{blocks}."


def baselines_table(found: Mapping[str, Any]) -> Table | None:
    """The network, its baselines and the ceiling on the same samples, best first."""
    baselines = found.get("baselines")
    if not baselines:
        return None
    overall = {_called(BASELINES, name): one["overall"] for name, one in baselines.items()}
    overall = {"network": found["test"]["overall"]} | overall
    order = sorted(overall, key=lambda name: overall[name]["rmse_mm"])
    rows = [metric_row(name, overall[name]) for name in order]
    if best := found.get("ceiling"):
        rows.insert(0, metric_row("noise ceiling", best))
    text = "All of them on the same samples, best RMSE first; baselines fitted on the same split"
    return Table(text, ["", *(heading for _, heading, _ in METRICS)], rows)


def metric_row(name: str, values: Mapping[str, Any]) -> list[str]:
    """A heading and the metrics; a dash for one that does not apply."""
    texts = [
        (um if is_length else ratio)(values[key]) if key in values else "–"
        for key, _, is_length in METRICS
    ]
    return [name, *texts]


def accuracy_tables(found: Mapping[str, Any]) -> list[Table]:
    """Overall and per axis, percentiles, targets."""
    test, columns = found["test"], ["", *(heading for _, heading, _ in METRICS)]
    names = [name for name, one in test.items() if isinstance(one, dict) and "mae_mm" in one]
    rows = [metric_row(name, test[name]) for name in names]
    if "window" in found:
        rows.append(metric_row("from windows", found["window"]["overall"]))
    tables = [
        Table("Accuracy, streamed; last row: each sample from a window of its own", columns, rows)
    ]
    if "window" not in found:
        tables = [tables[0]._replace(caption="Accuracy, streamed")]
    percentiles = test["percentiles"]
    headings = [f"{key[1:-3].replace('_', '.')} %" for key in percentiles]
    values = ["within / µm", *(um(value) for value in percentiles.values())]
    tables.append(Table("Absolute residual of so many of the samples", ["", *headings], [values]))
    return [*tables, _targets_table(found)]


def _targets_table(found: Mapping[str, Any]) -> Table:
    rows = []
    for key, one in found["targets"].items():
        form = {"mae_mm": lambda v: f"{um(v)} µm", "r2": ratio}.get(key, lambda v: f"{v:.3g} ms")
        sign = "at least" if key == "r2" else "at most"
        mark = "met" if one["is_met"] else "missed"
        rows.append(
            [_called(TARGETS, key), f"{sign} {form(one['goal'])}", form(one["value"]), mark]
        )
    return Table("Targets of the spec", ["", "goal", "reached", "verdict"], rows)


def traces_table(found: Mapping[str, Any]) -> Table | None:
    """A row a trace."""
    traces = found.get("per_trace")
    if not traces:
        return None
    rows = [_group_row(short_name(one["part"], one["name"]), one) for one in traces]
    return Table("Each trace", GROUP_COLUMNS, rows)


def dynamic_sentence(found: Mapping[str, Any]) -> str:
    """R2 of the error without its direction-dependent offset."""
    dynamic = found.get("dynamic")
    if not dynamic:
        return ""
    return (
        f"Without the offset that friction leaves in the direction of travel "
        f"({dynamic.get('offset', 'fitted')}), {um(dynamic['rms_mm'])} µm RMS of dynamics remain; "
        f"of that part alone the network reaches R² {ratio(dynamic['r2'])}."
    )


def breakdown_tables(found: Mapping[str, Any]) -> list[Table]:
    """By feature, speed and distance from the corner, as far as the data tells them."""
    tables = []
    for key, groups in (found.get("breakdown") or {}).items():
        rows = [_group_row(one["label"], one) for one in groups or ()]
        if rows:
            tables.append(Table(_called(BREAKDOWNS, key), GROUP_COLUMNS, rows))
    return tables


def _group_row(name: str, one: Mapping[str, Any]) -> list[str]:
    lengths = [um(one[key]) for key in ("mae_mm", "rmse_mm")]
    true = um(one["true_rms_mm"]) if "true_rms_mm" in one else "–"
    return [name, f"{one['num_samples']:,}", *lengths, ratio(one["r2"]), true]


def latency_table(found: Mapping[str, Any]) -> Table:
    """Quantiles of the time of single calls, beside the limit and the sampling period."""
    latency = found["latency"]
    keys = {"p50_us": "50 %", "p90_us": "90 %", "p99_us": "99 %", "p99_9_us": "99.9 %"}
    keys |= {"max_us": "slowest", "limit_us": "limit", "period_us": "sampling period"}
    held = {text: latency[key] for key, text in keys.items() if latency.get(key) is not None}
    values = ["at most / µs", *(um(1e-3 * value) for value in held.values())]
    return Table("So many of the calls took", ["", *held], [values])


def latency_sentence(found: Mapping[str, Any]) -> str:
    """The 99th percentile beside the limit and the sampling period."""
    latency = found["latency"]
    held = [
        f"{100 * latency['p99_us'] / latency[key]:.2g} % of {text} of {latency[key] / 1e3:g} ms"
        for key, text in (("limit_us", "the limit"), ("period_us", "the sampling period"))
        if latency.get(key)
    ]
    rest = f": {' and '.join(held)}" if held else ""
    return (
        f"The deployed predictor took one sample at a time, its state carried on, in "
        f"{latency['num_calls']:,} calls after warm-up. At the 99th percentile a prediction takes "
        f"{um(1e-3 * latency['p99_us'])} µs{rest}."
    )
