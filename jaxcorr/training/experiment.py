"""An experiment: the run folder made from a spec before the first step, and reopened to go on.

A folder holds everything that a run needs later: the spec as given, every default, versions, split,
fingerprints, scales and the test samples.
"""

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from jaxcorr import files
from jaxcorr import spec as specs
from jaxcorr.data import batches, collect, dataset, windows
from jaxcorr.data.dataset import Dataset
from jaxcorr.data.windows import Samples
from jaxcorr.errors import InputError
from jaxcorr.models import network, ranges
from jaxcorr.models.scales import fit_scales
from jaxcorr.printer.simulate import make_jobs
from jaxcorr.spec import Data, Spec
from jaxcorr.training import devices, hosts, run_folder, test_set
from jaxcorr.training.run_folder import Run

TEST_SAMPLES = "test.npz"


class Experiment(NamedTuple):
    """A run and what it trains on."""

    run: Run
    spec: Spec
    data: Dataset


def load_data(data: Data) -> Dataset:
    """The data of a spec. Of traces that it simulates, none that another spec left beside them.

    Raises:
        InputError: as `dataset.load`.
    """
    return dataset.load(data, points=_points(data))


def find_traces(data: Data) -> dict[str, Path]:
    """The trace files that `load_data` would read, by trace name.

    Raises:
        InputError: as `dataset.find`.
    """
    return dataset.find(data, _points(data))


def fingerprint(data: Data) -> dict[str, str]:
    """SHA-256 of each trace file that `load_data` would read, by trace name.

    Raises:
        InputError: as `dataset.find`.
    """
    return dataset.checksums(find_traces(data))


def _points(data: Data) -> set[str] | None:
    """The points of the sweep that a spec simulates; None where its traces are found, not made."""
    options = collect.traces_to_make(data)
    if options is None:
        return None
    jobs = make_jobs(options, [1])
    return {windows.point_of(Path(collect.file_name(job, options)).stem) for job in jobs}


def begin(path: Path, overrides: list[str], folder: Path) -> Experiment:
    """Checks a spec, loads its data and makes the run folder; nothing is left if any of it fails.

    Args:
        path: the spec file.
        overrides: `section.key=value` texts.
        folder: where run folders live.
    Raises:
        InputError: the spec or the data is refused, or the folder cannot be written.
    """
    with hosts.together():
        spec = specs.load(path, overrides)
        devices.check_memory(spec)
        data = load_data(spec.data)
        batches.plan_for(spec, data.train)
        devices.make_mesh(spec)
    table = specs.to_table(spec)
    hosts.require_same("spec and traces", lambda: [table, dataset.fingerprint(data)])
    made = hosts.from_writer(lambda: str(_make_run(path, overrides, folder, spec, data).path))
    return Experiment(Run(Path(made)), spec, data)


def name_of(spec: Spec, path: Path) -> str:
    """What a run is called: as its spec says, or its file, or the run that the file lies in."""
    if path.name == run_folder.SPEC_FILE and run_folder.is_run(path.parent):
        return spec.train.name or run_folder.Run(path.parent).name
    return spec.train.name or path.stem


def _make_run(path: Path, overrides: list[str], folder: Path, spec: Spec, data: Dataset) -> Run:
    """The run's folder with all that it holds before the first step, or none."""
    scales = fit_scales(spec, data.train)

    def fill(made: Path) -> None:
        files.write_text(made / run_folder.SPEC_FILE, _as_given(path, overrides))
        dataset.save_samples(made / TEST_SAMPLES, data.test)
        test_set.keep(made, spec.data, data)
        files.write_json(made / "stats.json", _stats(spec, scales, data.train))
        resolved = _resolve(spec, data, len(scales.inputs.mean))
        files.write_json(made / run_folder.RESOLVED_FILE, resolved)

    try:
        return run_folder.create(folder, name_of(spec, path), fill)
    except OSError as error:
        raise InputError(
            f"{folder}: expected to write the run's files, got '{error.strerror}'. Make room, or "
            "choose another folder with --runs."
        ) from None


def reopen(run: Run) -> Experiment:
    """A run that was begun before, with the same split of the same data and as many devices.

    Raises:
        InputError: a trace is missing or has changed since; the text names those that differ.
    """
    with hosts.together():
        spec = with_recorded_devices(run)
        resolved = run.resolved()
        files.remove_leftovers(run.path)
        data = dataset.load(spec.data, resolved.split.model_dump())
        _refuse_changes(run, resolved.fingerprint, dataset.fingerprint(data))
    return Experiment(run, spec, data)


def _refuse_changes(run: Run, known: dict[str, str], now: dict[str, str]) -> None:
    # Traces that were added since are in no split, so they change nothing.
    changed = sorted(name for name in known if known[name] != now.get(name))
    if changed:
        raise InputError(
            f"{run.path}: expected the traces that the run began with, got {len(changed)} that "
            f"differ: {', '.join(changed[:5])}. Bring the files back, or train a new run."
        )


def with_recorded_devices(run: Run) -> Spec:
    """A run's spec with train.num_devices as it began.

    Another number would change the rounding, and a resumed training would no longer be the same.
    """
    spec, num_devices = run.spec(), run.resolved().num_devices
    train = spec.train.model_copy(update={"num_devices": num_devices})
    return spec.model_copy(update={"train": train})


def test_samples(run: Run, spec: Spec, patterns: list[str]) -> Samples:
    """The samples to evaluate a run on: its own test split, or all traces of some patterns."""
    if patterns:
        return dataset.load_all(spec.data, patterns)
    return dataset.load_samples(run.path / TEST_SAMPLES, spec.data)


def _as_given(path: Path, overrides: list[str]) -> str:
    """The spec's text; with overrides its header, a line for each, and the table they make."""
    text = path.read_text(encoding="utf-8")
    if not overrides:
        return text
    header = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    changes = [f"# changed by --set {item}" for item in overrides]
    return "\n".join([*header, *changes, "", tomli_w.dumps(specs.read_table(path, overrides))])


def _stats(spec: Spec, scales: Any, samples: Samples) -> dict[str, Any]:
    names, rate_hz = spec.data.features, spec.data.sample_rate_hz
    spanned = ranges.measure_ranges(names, samples.features, samples.first_row, rate_hz)
    std = tuple(scales.targets.std.tolist())
    stats = {
        "features": list(names),
        "ranges": spanned._replace(target_std=std)._asdict(),
        "inputs": {"kind": spec.model.inputs, **_as_lists(scales.inputs)},
    }
    if not network.has_path(spec):  # beside one, the network's targets are what it leaves
        stats["targets"] = {"names": list(spec.data.targets), **_as_lists(scales.targets)}
    return stats


def _as_lists(scale: Any) -> dict[str, list[float]]:
    return {"mean": scale.mean.tolist(), "std": scale.std.tolist()}


def _resolve(spec: Spec, data: Dataset, num_inputs: int) -> dict[str, Any]:
    return {
        "spec": specs.to_table(spec),
        "num_inputs": num_inputs,
        "num_devices": devices.count(devices.make_mesh(spec)),
        "split": data.split,
        "fingerprint": dataset.fingerprint(data),
        "num_samples": {name: len(getattr(data, name).features) for name in data.split},
        **run_folder.describe_machine().model_dump(mode="json"),
    }
