"""What a report says of the run: what was trained, on what, with what, and how far to trust it.

It knows specs and what a run wrote when it began; it reads no file and knows nothing of HTML.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxcorr.data.windows import printed_layer_of
from jaxcorr.evaluation.wording import count
from jaxcorr.spec import Spec
from jaxcorr.training import path_first

FEW_LAYERS = 10  # below it, intervals over layers are rough


def training_rows(
    spec: Spec,
    resolved: Mapping[str, Any],
    num_parameters: int,
    num_epochs: int,
    best_epoch: int | None,
) -> list[tuple[str, str]]:
    """What was trained, on what, with what: heading and text.

    Args:
        resolved: of the run.
        num_epochs: that have run so far.
        best_epoch: whose weights are used, where known; 0 where no epoch's are.
    """
    data, split = spec.data, resolved["split"]
    counts = resolved.get("num_samples") or {}
    dealt = "; ".join(
        f"{name} {count(len(names), 'trace')}"
        + (f", {counts[name]:,} samples" if name in counts else "")
        for name, names in split.items()
    )
    network = (
        f"encoder {spec.model.encoder_size}, {spec.model.num_layers} LSTM layers of "
        f"{spec.model.hidden_size}, {num_parameters:,} parameters, {spec.model.inputs} inputs"
    )
    if spec.model.linear_path != "none":
        network += f", beside a linear path ({spec.model.linear_path})"
    best = ""
    if best_epoch is not None:
        best = f"; the best is used: {path_first.name_best(spec, best_epoch)}"
    loss = spec.loss.name
    loss += f" ({spec.loss.mae_ratio:g} MAE)" if loss == "hybrid" else ""
    optimizer = spec.optimizer
    return [
        ("Data", _data_text(spec, split)),
        ("Split", f"by {data.split.by}, seed {data.split.seed}: {dealt}"),
        ("Inputs, outputs", f"{', '.join(data.features)} → {', '.join(data.targets)}"),
        ("Horizon", horizon_text(spec)),
        ("Network", network),
        (
            "Training",
            f"loss {loss}, learning rate {optimizer.learning_rate:g} ({optimizer.schedule}), "
            f"batches of {data.batch_size} windows of {data.window} samples, "
            f"{num_epochs} of at most {spec.train.epochs} epochs{best}",
        ),
        *machine_rows(resolved, "Begun"),
    ]


def _data_text(spec: Spec, split: Mapping[str, Sequence[str]]) -> str:
    folders = sorted({name.rsplit("/", 1)[0] for names in split.values() for name in names})
    kind = "simulated" if spec.data.simulate else "given traces"
    return f"{kind}, {spec.data.sample_rate_hz:g} Hz: {', '.join(folders)}"


def horizon_text(spec: Spec) -> str:
    """What the horizon means: before, at or after the instant of the newest sample."""
    horizon = spec.data.horizon
    size_ms = abs(horizon) * 1e3 / spec.data.sample_rate_hz
    if horizon == 0:
        return "0 samples: the error at the instant of the newest sample"
    if horizon > 0:
        return f"{count(horizon, 'sample')}: the error {size_ms:g} ms after the newest sample"
    return (
        f"{horizon} samples: the error {size_ms:g} ms before the newest sample, whose plan is known"
    )


def machine_rows(described: Mapping[str, Any], verb: str) -> list[tuple[str, str]]:
    """Commit, versions, machine and time, as `runs.describe_machine` gives them.

    Args:
        verb: what was done at that time.
    """
    machine = described.get("machine") or {}
    versions = ", ".join(f"{name} {text}" for name, text in described.get("versions", {}).items())
    commit = described.get("git_commit")
    text = commit or "not a git checkout"
    if commit and commit.endswith("+"):
        text = f"{commit[:-1]}, with changes that were not committed"
    where = (
        f"{machine.get('processor', 'unknown')}, {machine.get('cores', '?')} cores, "
        f"{machine.get('system', 'unknown system')}"
    )
    rows = [("Commit", text), ("Versions", f"Python {described.get('python', '?')}, {versions}")]
    return [*rows, ("Machine", where), (verb, described.get("created", "unknown"))]


def judged_on(names: Sequence[str], split: Mapping[str, Sequence[str]]) -> str:
    """What the traces of an evaluation are to the run: its test split, or others."""
    if set(names) == set(split.get("test", ())):
        return f"{count(len(names), 'test trace')} that it was not trained on"
    seen = len(set(names) & {*split.get("train", ()), *split.get("val", ())})
    text = count(len(names), "trace")
    return f"{text} ({seen} of them from its training and validation)" if seen else text


def limits(
    spec: Spec,
    names: Sequence[str],
    split: Mapping[str, Sequence[str]],
    is_finished: bool = True,
) -> list[str]:
    """What the figures do not say, as sentences.

    Args:
        names: of the traces that the evaluation was made on.
        split: of the run.
        is_finished: whether its training has ended.
    """
    data, num_layers = spec.data, len(set(map(printed_layer_of, names)))
    told = []
    if not is_finished:
        told.append(
            "The training has not ended: these are the figures of its best epoch so far, and "
            "`just resume` goes on."
        )
    if data.simulate:
        told.append(
            "The errors are simulated: two elastic axes with friction, microsteps, timing jitter "
            "and noise. Coupling of the axes, frame, belt path, temperature and extruder are not "
            "in them, so what a real machine does beyond that is not measured here."
        )
    if set(names) != set(split.get("test", ())):
        told.append("These traces are not the run's own test split; they may differ from its data.")
    elif data.split.by == "trace":
        told.append(
            "No test trace was trained on, but other layers of the same parts were. How well it "
            "does on a part that it has never seen is another question: split by part to answer it."
        )
    if num_layers < FEW_LAYERS:
        told.append(
            f"The traces are of only {count(num_layers, 'layer')}, so other layers may give other "
            "figures than the intervals suggest."
        )
    told += [
        "Figures hold for the printer parameters, accelerations and speeds that the traces cover.",
        f"The model works at {data.sample_rate_hz:g} Hz, the sampling rate of its traces, and "
        "whole multiples of it.",
        "Subtracting a prediction from the command makes a resonant axis worse above 0.71 of its "
        "natural frequency; a correction has to be solved for.",
        "Times of a prediction are of the machine that made this report, in one run, with whatever "
        "else it did.",
    ]
    return told
