"""The data of one experiment: traces found, checked, dealt to splits and tabulated.

The module ties trace files to the spec's data section; it knows neither model nor training.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcorr import files, runs, trace, windows
from jaxcorr.errors import InputError
from jaxcorr.spec import Data
from jaxcorr.trace import Trace
from jaxcorr.windows import SPLITS, Samples


class Dataset(NamedTuple):
    """The three splits as sample tables, and where each trace came from."""

    train: Samples
    val: Samples
    test: Samples
    paths: dict[str, Path]

    @property
    def split(self) -> dict[str, list[str]]:
        """Split name -> trace names."""
        return {name: list(getattr(self, name).names) for name in SPLITS}


def load(data: Data, dealt: Mapping[str, Sequence[str]] | None = None) -> Dataset:
    """Reads the traces that the spec names and deals them to splits.

    Args:
        dealt: split name -> trace names of an earlier load, to get the very same split again.
    Raises:
        InputError: nothing matches, a file is refused, two traces share a name, a trace of
            `dealt` is missing, or no training window fits.
    """
    traces = trace.load(
        trace.find(data.traces), (*data.features, *data.targets), data.sample_rate_hz
    )
    by_name = _by_name(traces)
    if dealt is None:
        dealt = windows.deal(list(by_name), [t.part for t in by_name.values()], data.split)
    missing = sorted({name for names in dealt.values() for name in names} - set(by_name))
    if missing:
        raise InputError(
            f"data.traces: expected the run's {sum(map(len, dealt.values()))} traces, got none "
            f"for {', '.join(missing[:5])}. Bring the files back, or train anew."
        )
    tables = {name: windows.tabulate([by_name[n] for n in dealt[name]], data) for name in SPLITS}
    if not windows.starts(tables["train"], data.window, data.stride):
        longest = max(tables["train"].num_rows, default=0) - tables["train"].lead
        raise InputError(
            f"data.window: expected at most the longest training trace's {longest} targets, got "
            f"{data.window}. Choose a shorter window, or longer traces."
        )
    return Dataset(**tables, paths={name: t.path for name, t in by_name.items()})


def load_all(data: Data, patterns: Sequence[str]) -> Samples:
    """All traces of some patterns as one table, for evaluation; nothing is dealt.

    Raises:
        InputError: nothing matches, or a file is refused.
    """
    names = (*data.features, *data.targets)
    traces = trace.load(trace.find(patterns), names, data.sample_rate_hz)
    return windows.tabulate(list(_by_name(traces).values()), data)


def fingerprint(data: Dataset) -> dict[str, str]:
    """SHA-256 of each trace file, by trace name."""
    return runs.fingerprint(data.paths)


def _by_name(traces: Sequence[Trace]) -> dict[str, Trace]:
    by_name: dict[str, Trace] = {}
    for item in traces:
        if item.name in by_name:
            raise InputError(
                f"{item.path}: expected a folder and file name of its own, got the same as "
                f"{by_name[item.name].path}. Rename one of the folders."
            )
        by_name[item.name] = item
    return by_name


def save_samples(path: Path, samples: Samples) -> None:
    """Keeps a split in the run folder, so that the run can be evaluated without its traces."""
    with files.write_whole(path) as partial:
        np.savez_compressed(partial, allow_pickle=False, **samples._asdict())


def load_samples(path: Path) -> Samples:
    """A split that `save_samples` kept.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            fields: dict[str, Any] = {name: content[name] for name in Samples._fields}
    # zipfile passes on whatever a damaged file provokes in zlib and its other decoders.
    except Exception as error:
        raise InputError(
            f"{path}: expected the run's test samples, got '{error}'. Evaluate with --traces, or "
            "train the run again."
        ) from None
    return Samples(**fields)._replace(
        lead=int(fields["lead"]),
        names=tuple(map(str, fields["names"])),
        parts=tuple(map(str, fields["parts"])),
    )
