"""The model card: what a run's model is, how good, for which inputs, and how to call it.

Everything in it comes from the run's own files and from the export's checks.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxcorr import files
from jaxcorr.errors import command
from jaxcorr.export import onnx, parameters
from jaxcorr.models import network
from jaxcorr.run_records import Resolved
from jaxcorr.spec import Data, Spec
from jaxcorr.training.restore import Loaded
from jaxcorr.training.run_folder import Run
from jaxcorr.units import SIGN, count, horizon_text

UNKNOWN = "not known"


class Judgement(NamedTuple):
    """An evaluation in words: the verdict, a table of accuracy and what it means, the latency."""

    verdict: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    sentences: tuple[str, ...]
    latency: str


def write(
    run: Run, loaded: Loaded, manifest: Mapping[str, Any], judgement: Judgement | None = None
) -> str:
    """The card's text, Markdown.

    Args:
        manifest: of the export that it goes into.
        judgement: of the run's evaluation, if there was one.
    Raises:
        InputError: a file of the run is damaged.
    """
    spec, facts = loaded.spec, parameters.facts(run.id, loaded.spec)
    resolved = run.resolved()
    return files.render(
        "model_card.md.j2",
        facts=facts,
        sign=SIGN,
        horizon=horizon_text(facts.horizon, facts.sample_rate_hz),
        inputs=_inputs(loaded, facts),
        num_parameters=network.count_parameters(loaded.weights.network),
        network=_network(spec),
        origin=_origin(spec.data),
        splits=_splits(resolved),
        split_by=spec.data.split.by,
        best=loaded.best,
        is_finished=loaded.is_finished,
        commit=resolved.git_commit or UNKNOWN,
        created=resolved.created.isoformat(),
        judgement=judgement,
        evaluate=command(f"eval {run.id}"),
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
    layers = f"{count(options.num_layers, 'LSTM layer')} of {options.hidden_size} units"
    path = {
        "none": "",
        "plant": "; on top of the identified plant",
        "smooth": "; on top of a regression on smooth functions of velocity",
    }[options.path]
    return f"{inside}; Dense({options.encoder_size}), LayerNorm, ReLU; {layers}; Dense{path}"


def _origin(data: Data) -> str:
    patterns = ", ".join(f"`{pattern}`" for pattern in data.traces)
    if data.simulate is None:
        return f"Traces of {patterns}."
    parts = ", ".join(data.simulate.parts)
    return f"Simulated traces of {patterns}: {parts}, layers {data.simulate.layers}."


def _splits(resolved: Resolved) -> list[dict[str, Any]]:
    """Traces and samples of each split."""
    counts = resolved.num_samples.model_dump()
    return [
        {"name": name, "num_traces": len(names), "num_samples": f"{counts[name]:,}"}
        for name, names in resolved.split.model_dump().items()
    ]


def _forms(entries: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name, difference, check and time of each exported file."""
    return [
        {
            "name": name,
            "num_samples": "" if entry["worst_mm"] is None else f"{entry['num_samples']:,}",
            "worst": "" if entry["worst_mm"] is None else f"{entry['worst_mm']:.1e} mm",
            "checked_with": entry["checked_with"],
            "time": f"{entry['us_per_call']:.3g} us" if entry["us_per_call"] else "",
        }
        for name, entry in entries.items()
    ]


def _state_names(spec: Spec) -> list[str]:
    return onnx.carry_names(spec.model.num_layers, network.has_path(spec))
