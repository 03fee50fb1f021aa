"""The data of one experiment: traces found, dealt to splits, read one by one and tabulated.

It ties trace files to the spec's data section.
"""

import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxcorr import files, progress
from jaxcorr.data import trace, trace_checks, windows
from jaxcorr.data.trace import Trace
from jaxcorr.data.windows import SPLITS, Samples
from jaxcorr.errors import InputError
from jaxcorr.files import Array
from jaxcorr.spec import Data
from jaxcorr.units import count


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


def find(data: Data, points: Collection[str] | None = None) -> dict[str, Path]:
    """The traces that the spec names, by name; none is read.

    Args:
        points: only traces of these points of a sweep, as `windows.point_of` names them.
    Raises:
        InputError: nothing matches, or two traces share a name.
    """
    paths = _by_name(trace.find(data.traces))
    if points is None:
        return paths
    return {name: path for name, path in paths.items() if windows.point_of(name) in points}


def load(
    data: Data,
    dealt: Mapping[str, Sequence[str]] | None = None,
    points: Collection[str] | None = None,
) -> Dataset:
    """Reads the traces that the spec names and deals them to splits.

    Args:
        dealt: split name -> trace names of an earlier load, to get the very same split again.
        points: as for `find`.
    Raises:
        InputError: nothing matches, a file is refused, two traces share a name, a trace of
            `dealt` is missing, or no training window fits.
    """
    paths = find(data, points)
    if dealt is None:
        dealt = windows.deal(list(paths), list(map(trace.part_of, paths.values())), data.split)
    names = [name for split in SPLITS for name in dealt[split]]
    missing = sorted(set(names) - set(paths))
    if missing:
        raise InputError(
            f"data.traces: expected the run's {len(names)} traces, got none "
            f"for {', '.join(missing[:5])}. Bring the files back, or train anew."
        )
    progress.begin(f"reading {count(len(names), 'trace')}")
    traces = read([paths[name] for name in names], data)
    tables = {
        split: windows.tabulate(itertools.islice(traces, len(dealt[split])), data)
        for split in SPLITS
    }
    if not windows.starts(tables["train"], data.window, data.stride):
        longest = max(tables["train"].num_rows, default=0) - tables["train"].lead
        raise InputError(
            f"data.window: expected at most the longest training trace's {longest} targets, got "
            f"{data.window}. Choose a shorter window, or longer traces."
        )
    members = set(names)
    return Dataset(**tables, paths={n: path for n, path in paths.items() if n in members})


def load_all(data: Data, patterns: Sequence[str]) -> Samples:
    """All traces of some patterns as one table, for evaluation; nothing is dealt.

    Raises:
        InputError: nothing matches, or a file is refused.
    """
    paths = _by_name(trace.find(patterns))
    return windows.tabulate(read(list(paths.values()), data), data)


def read(paths: Sequence[Path], data: Data) -> Iterator[Trace]:
    """Reads and checks traces one after the other, only the columns that the spec names of each.

    From the first file that is refused on nothing is yielded, but all others are checked.

    Raises:
        InputError: after the last file, with a line for each way in which files are refused.
    """
    names = (*data.features, *data.targets)
    problems: list[tuple[Path, str]] = []
    for path in paths:
        try:
            found = trace.read(path, (*names, "time"))
            trace_checks.check(found, data.sample_rate_hz, names)
            windows.check_length(found, data.horizon)
        except InputError as error:
            problems.append((path, str(error)))
            continue
        if not problems:
            yield found
    if problems:
        raise InputError("\n".join(merge_problems(problems)))


def merge_problems(problems: Iterable[tuple[Path, str]]) -> list[str]:
    """A line for each problem, with the first file in order and how many more have the same."""
    files_with: dict[str, list[Path]] = {}
    for path, text in sorted(problems):
        files_with.setdefault(text.removeprefix(f"{path}: "), []).append(path)
    return [
        f"{paths[0]}{f' and {len(paths) - 1} more' if paths[1:] else ''}: {text}"
        for text, paths in files_with.items()
    ]


def fingerprint(data: Dataset) -> dict[str, str]:
    """SHA-256 of each trace file, by trace name."""
    return checksums(data.paths)


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    by_name: dict[str, Path] = {}
    for path in paths:
        first = by_name.setdefault(trace.name_of(path), path)
        if first is not path:
            raise InputError(
                f"{path}: expected a folder and file name of its own, got the same as {first}. "
                "Rename one of the folders."
            )
    return by_name


def save_samples(path: Path, samples: Samples) -> None:
    """Keeps a split in the run folder, so that the run can be evaluated without its traces."""
    in_motion = np.array(samples.in_motion, np.bool_)
    texts = {name: np.array(getattr(samples, name), str) for name in ("names", "parts")}
    files.save_arrays(path, samples._asdict() | texts | {"in_motion": in_motion})


def load_samples(path: Path, data: Data) -> Samples:
    """A split that `save_samples` kept.

    Args:
        data: of the run's spec, which says how many columns there are.
    Raises:
        InputError: the file is missing or damaged, or holds other arrays than a split has.
    """
    mend = "Evaluate with --traces, or train the run again."
    wanted = {
        "features": Array("f", ("rows", len(data.features))),
        "targets": Array("f", ("rows", len(data.targets))),
        **dict.fromkeys(("first_row", "num_rows"), Array("i", ("traces",))),
        "lead": Array("i"),
        **dict.fromkeys(("names", "parts"), Array("U", ("traces",))),
        "in_motion": Array("b", ("traces or 0",)),
    }
    fields = files.load_arrays(path, wanted, "the run's test samples", mend)
    first, counts, rows = fields["first_row"], fields["num_rows"], len(fields["features"])
    ends = np.concatenate([[0], np.cumsum(counts)])
    lead = max(0, -data.horizon)
    is_whole = bool((counts > lead).all()) and ends[-1] == rows and np.array_equal(first, ends[:-1])
    is_whole &= len(fields["in_motion"]) in (0, len(counts))
    # Predictions are of the same type as the targets.
    is_whole &= all(fields[name].dtype == np.float32 for name in ("features", "targets"))
    if not is_whole or int(fields["lead"]) != lead:
        raise InputError(
            f"{path}: expected traces of float32 end to end, {lead} rows in front of each without "
            f"a target, got other rows. {mend}"
        )
    return Samples(**fields)._replace(
        lead=lead,
        names=tuple(map(str, fields["names"])),
        parts=tuple(map(str, fields["parts"])),
        in_motion=tuple(map(bool, fields["in_motion"])),
    )


def checksums(paths: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each trace file, by trace name."""
    digests = {}
    for name, path in paths.items():
        with path.open("rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
