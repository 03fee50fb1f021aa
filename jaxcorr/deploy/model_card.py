"""The model card: what a run's model is, how good, for which inputs, and how to call it.

Everything in it comes from the run's own files and from the export's checks; what a file lacks is
said to be missing. The module writes no file.
"""

from collections.abc import Mapping
from typing import Any

from jaxcorr.deploy import onnx, parameters
from jaxcorr.errors import InputError
from jaxcorr.models import network
from jaxcorr.spec import Data, Spec, axis_of
from jaxcorr.training import path_first
from jaxcorr.training.restore import Loaded
from jaxcorr.training.run_folder import Run
from jaxcorr.units import SIGN

METRICS = {"mae_mm": "MAE, um", "rmse_mm": "RMSE, um", "r2": "R2", "correlation": "correlation"}
LATENCY = ("p50_us", "p99_us", "num_calls")
UNKNOWN = "not known"


def write(run: Run, loaded: Loaded, manifest: Mapping[str, Any]) -> str:
    """The card's text, Markdown.

    Args:
        manifest: of the export that it goes into.
    Raises:
        InputError: a file of the run is damaged.
    """
    spec, facts = loaded.spec, parameters.facts(run.id, loaded.spec)
    resolved = run.resolved()
    accuracy, latency = _read_metrics(run, spec)
    return parameters.render(
        "model_card.md.j2",
        facts=facts,
        sign=SIGN,
        horizon=parameters.horizon_text(facts.horizon),
        inputs=_inputs(loaded, facts),
        num_parameters=network.count_parameters(loaded.weights.network),
        network=_network(spec),
        origin=_origin(spec.data),
        splits=_splits(resolved),
        split_by=spec.data.split.by,
        best=path_first.name_best(spec, loaded.best_epoch),
        is_finished=loaded.is_finished,
        commit=resolved.get("git_commit") or UNKNOWN,
        created=resolved.get("created") or UNKNOWN,
        accuracy=accuracy,
        latency=latency,
        forms=_forms(manifest["files"]),
        manifest=manifest,
        state=", ".join(_state_names(spec)),
    )


def _inputs(loaded: Loaded, facts: parameters.Facts) -> list[dict[str, str]]:
    """Name, unit and training range of each feature."""
    bounds = zip(loaded.ranges.low, loaded.ranges.high, strict=True)
    spans = [f"{low:.4g} to {high:.4g}" for low, high in bounds]
    columns = zip(facts.features, facts.feature_units, spans, strict=True)
    return [{"name": name, "unit": unit, "range": span} for name, unit, span in columns]


def _network(spec: Spec) -> str:
    options = spec.model
    phases = " and ".join(f"{period:g}" for period in options.phase_periods_mm)
    inside = "raw samples" if options.inputs == "raw" else "velocities and differences of samples"
    inside += f", phases of the position at {phases} mm" if phases else ""
    layers = f"{options.num_layers} LSTM layers of {options.hidden_size} units"
    path = (
        "" if options.linear_path == "none" else "; on top of a linear regression on binned motion"
    )
    return f"{inside}; Dense({options.encoder_size}), LayerNorm, ReLU; {layers}; Dense{path}"


def _origin(data: Data) -> str:
    patterns = ", ".join(f"`{pattern}`" for pattern in data.traces)
    if data.simulate is None:
        return f"Traces of {patterns}."
    parts = ", ".join(data.simulate.parts)
    return f"Simulated traces of {patterns}: {parts}, layers {data.simulate.layers}."


def _splits(resolved: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Traces and samples of each split."""
    counts = resolved.get("num_samples", {})
    return [
        {
            "name": name,
            "num_traces": len(names),
            "num_samples": f"{counts[name]:,}" if name in counts else UNKNOWN,
        }
        for name, names in resolved["split"].items()
    ]


def _read_metrics(run: Run, spec: Spec) -> tuple[dict[str, Any] | None, Any]:
    """Accuracy and latency of metrics.json; None and None before an evaluation."""
    path = run.path / "metrics.json"
    if not path.is_file():
        return None, None
    metrics = run.read_json(path.name)
    try:
        found = metrics.get("latency")
        latency = {key: float(found[key]) for key in LATENCY} if found else None
        return _accuracy(metrics, spec), latency
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: expected what `just eval` wrote, got '{error}'. Evaluate the run again."
        ) from None


def _accuracy(metrics: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
    """Rows of metrics with 95% intervals, and what they compare with."""
    test, intervals = metrics["test"], metrics.get("intervals") or {}
    axes = list(map(axis_of, spec.data.targets))
    rows = [
        [label, _figure(test["overall"][key], key), _interval(intervals.get(key), key)]
        + [_figure(test[axis][key], key) for axis in axes]
        for key, label in METRICS.items()
    ]
    ceiling, against = metrics.get("ceiling"), metrics.get("against_best_baseline")
    return {
        "axes": axes,
        "rows": rows,
        "num_traces": test["num_traces"],
        "num_samples": f"{test['num_samples']:,}",
        "method": intervals.get("method", UNKNOWN),
        "percentiles": {
            name[1:].removesuffix("_mm"): _figure(value, "mae_mm")
            for name, value in test.get("percentiles", {}).items()
        },
        "ceiling": {key: _figure(ceiling[key], key) for key in METRICS if key in ceiling}
        if ceiling
        else None,
        "against": against["sentence"] if against else None,
    }


def _figure(value: float | None, key: str) -> str:
    if value is None:
        return UNKNOWN
    return f"{1e3 * value:.2f}" if key.endswith("_mm") else f"{value:.4f}"


def _interval(bounds: Any, key: str) -> str:
    return " to ".join(_figure(bound, key) for bound in bounds) if bounds else UNKNOWN


def _forms(entries: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name, difference, check and time of each exported file."""
    return [
        {
            "name": name,
            "worst": "" if entry["worst_mm"] is None else f"{entry['worst_mm']:.1e} mm",
            "checked_with": entry["checked_with"],
            "time": f"{entry['us_per_call']:.3g} us" if entry["us_per_call"] else "",
        }
        for name, entry in entries.items()
    ]


def _state_names(spec: Spec) -> list[str]:
    return onnx.carry_names(spec.model.num_layers, network.has_linear_path(spec))
