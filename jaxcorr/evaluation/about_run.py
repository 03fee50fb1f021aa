"""Words about a run for its report: what was trained, on what, on which machine, and its limits."""

from collections.abc import Sequence

from jaxcorr.data.windows import printed_layer_of
from jaxcorr.errors import command
from jaxcorr.metrics import PathName
from jaxcorr.run_records import Origin, Resolved, Split
from jaxcorr.spec import Spec
from jaxcorr.training import checkpoint
from jaxcorr.units import count, horizon_text

FEW_LAYERS = 10  # below it, intervals over layers are rough


def training_rows(
    spec: Spec,
    resolved: Resolved,
    num_parameters: int,
    num_epochs: int,
    best_epoch: int,
    path: PathName,
) -> list[tuple[str, str]]:
    """What was trained, on what, with what: heading and text.

    Args:
        resolved: of the run.
        num_epochs: that have run so far.
        best_epoch: whose weights are used; 0 where no epoch's are.
        path: that runs beside the network.
    """
    data, split, rows = spec.data, resolved.split, resolved.num_samples
    dealt = "; ".join(
        f"{name} {count(len(names), 'trace')}, {count(num_rows, 'sample')}"
        for name, names, num_rows in (
            ("train", split.train, rows.train),
            ("val", split.val, rows.val),
            ("test", split.test, rows.test),
        )
    )
    network = (
        f"encoder {spec.model.encoder_size}, {count(spec.model.num_layers, 'LSTM layer')} of "
        f"{spec.model.hidden_size}, {num_parameters:,} parameters, {spec.model.inputs} inputs"
    )
    beside = {"plant": "the identified plant", "smooth": "a smooth regression"}
    if path in beside:
        network += f", beside {beside[path]}"
    loss = spec.loss.name
    loss += f" ({spec.loss.mae_ratio:g} MAE)" if loss == "hybrid" else ""
    optimizer = spec.optimizer
    return [
        ("Data", _data_text(spec, split)),
        ("Split", f"by {data.split.by}, seed {data.split.seed}: {dealt}"),
        ("Inputs, outputs", f"{', '.join(data.features)} → {', '.join(data.targets)}"),
        ("Predicts", f"the error {horizon_text(data.horizon, data.sample_rate_hz)}"),
        ("Network", network),
        (
            "Training",
            f"loss {loss}, learning rate {optimizer.learning_rate:g} ({optimizer.schedule}), "
            f"batches of {data.batch_size} windows of {data.window} samples, "
            f"{num_epochs} of at most {spec.train.epochs} epochs; the best is used: "
            f"{checkpoint.name_best(best_epoch, path)}",
        ),
        *machine_rows(resolved, "Begun"),
    ]


def _data_text(spec: Spec, split: Split) -> str:
    folders = sorted({name.rsplit("/", 1)[0] for name in split.names})
    kind = "simulated" if spec.data.simulate else "given traces"
    return f"{kind}, {spec.data.sample_rate_hz:g} Hz: {', '.join(folders)}"


def machine_rows(described: Origin, verb: str) -> list[tuple[str, str]]:
    """Commit, versions, machine and time, as `run_folder.describe_machine` gives them.

    Args:
        verb: what was done at that time.
    """
    machine, commit = described.machine, described.git_commit
    versions = ", ".join(f"{name} {text}" for name, text in described.versions.items())
    text = commit or "not a git checkout"
    if commit and commit.endswith("+"):
        text = f"{commit[:-1]}, with changes that were not committed"
    return [
        ("Commit", text),
        ("Versions", f"Python {described.python}, {versions}"),
        ("Machine", f"{machine.processor}, {machine.cores} cores, {machine.system}"),
        (verb, described.created.isoformat()),
    ]


def judged_on(names: Sequence[str], split: Split) -> str:
    """What the traces of an evaluation are to the run: its test split, or others."""
    if set(names) == set(split.test):
        return f"{count(len(names), 'test trace')} that it was not trained on"
    seen = len(set(names) & {*split.train, *split.val})
    text = count(len(names), "trace")
    return f"{text} ({seen} of them from its training and validation)" if seen else text


def limits(
    spec: Spec,
    names: Sequence[str],
    split: Split,
    is_finished: bool,
) -> list[str]:
    """What the figures do not say, as sentences.

    Args:
        names: of the traces that the evaluation was made on.
        split: of the run.
        is_finished: whether its training has ended.
    """
    data, num_layers = spec.data, len(set(map(printed_layer_of, names)))
    sentences = []
    if not is_finished:
        sentences.append(
            "The training has not ended: these are the figures of its best epoch so far, and "
            f"`{command('resume')}` goes on."
        )
    if data.simulate:
        sentences.append(
            "The errors are simulated: two elastic axes with friction, microsteps, timing jitter "
            "and noise. Coupling of the axes, frame, belt path, temperature and extruder are not "
            "in them, so what a real machine does beyond that is not measured here."
        )
    if set(names) != set(split.test):
        sentences.append(
            "These traces are not the run's own test split; they may differ from its data."
        )
    elif data.split.by == "trace":
        sentences.append(
            "No test trace was trained on, but other layers of the same parts were. How well it "
            "does on a part that it has never seen is another question: split by part to answer it."
        )
    if num_layers < FEW_LAYERS:
        sentences.append(
            f"The traces are of only {count(num_layers, 'layer')}, so other layers may give other "
            "figures than the intervals suggest."
        )
    sentences += [
        "Figures hold for the printer parameters, accelerations and speeds that the traces cover.",
        f"The model works at {data.sample_rate_hz:g} Hz, the sampling rate of its traces, and "
        "whole multiples of it.",
        "Subtracting a prediction from the command makes a resonant axis worse above 0.71 of its "
        "natural frequency; a correction has to be solved for.",
        "Times of a prediction are of the machine that made this report, in one run, with whatever "
        "else it did.",
    ]
    return sentences
