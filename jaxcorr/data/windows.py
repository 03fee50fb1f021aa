"""Traces dealt to splits, laid end to end in one table, and cut into windows by index arithmetic.

A split never divides a trace, and a window never crosses from one trace to the next.
"""

import contextlib
import fnmatch
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from jaxcorr.data.trace import Trace, find_axes, part_of
from jaxcorr.errors import InputError
from jaxcorr.spec import Data, Split

SPLITS = ("train", "val", "test")
MOST_IN_MEMORY = 64 * 2**20  # bytes
# Temporary files of any size belong here; /tmp is memory on many machines.
LARGE_FILES = "/var/tmp"
# Of a sweep over accelerations, velocities and probes; empty where there is none.
POINT = re.compile(r"(_a[\d.]+)?(_v[\d.]+)?(_p[\d.]+)?(?=_[^_/]*$)")


class Samples(NamedTuple):
    """Traces end to end: row r holds the inputs at one instant and the targets that belong to it.

    The target of a row lies `horizon` samples after it, so rows without one are left out at the
    end of a trace (horizon > 0) or marked by `lead` at its start (horizon < 0). Features and
    targets may be read-only views of one table, which is on disk where it is large.

    Attributes:
        features: raw inputs, mm and mm/s.
        targets: errors, mm.
        first_row, num_rows: where each trace lies.
        lead: rows at the start of each trace whose target does not exist.
        names, parts: of each trace.
        in_motion: whether each trace begins in motion; empty where none does.
    """

    features: Float32[ndarray, "rows f"]
    targets: Float32[ndarray, "rows t"]
    first_row: Int[ndarray, " traces"]
    num_rows: Int[ndarray, " traces"]
    lead: int
    names: tuple[str, ...]
    parts: tuple[str, ...]
    in_motion: tuple[bool, ...] = ()

    def spans(self) -> list[slice]:
        """The rows of each trace."""
        ends = (self.first_row + self.num_rows).tolist()
        return [slice(*ends_of) for ends_of in zip(self.first_row.tolist(), ends, strict=True)]


def deal(names: Sequence[str], parts: Sequence[str], split: Split) -> dict[str, tuple[str, ...]]:
    """Deals traces to training, validation and test.

    By trace, the parts are spread over the splits in proportion, and the traces of one layer at
    several accelerations and speeds stay together. By part, whole parts go to one split. With
    three or more units no split with a ratio above zero stays empty; the training split never does.
    Where `test_traces` names the test, only the others are dealt, to training and validation.

    Args:
        names, parts: of each trace.
        split: ratios, unit and seed.
    Returns:
        split name -> trace names, sorted.
    Raises:
        InputError: too few traces or parts, an unknown part in `test_parts`, or no trace of
            `test_traces`.
    """
    ratios = {"train": split.train, "val": split.val, "test": split.test}
    rng = np.random.default_rng(split.seed)
    held = match(names, split.test_traces, "data.split test_traces")
    if split.by == "part":
        units = dict(zip(names, parts, strict=True))
        dealt = _deal_parts(sorted(set(parts)), split, ratios, rng)
    else:
        units = {name: layer_of(name) for name in names if name not in held}
        part_of = {layer_of(n): p for n, p in zip(names, parts, strict=True) if n not in held}
        dealt = _deal_layers(part_of, ratios | ({"test": 0.0} if held else {}), rng)
    split_of = {unit: name for name, members in dealt.items() for unit in members}
    found = {s: sorted(n for n, u in units.items() if split_of[u] == s) for s in SPLITS}
    return {s: tuple(sorted([*held, *found[s]] if s == "test" else found[s])) for s in SPLITS}


def match(names: Sequence[str], patterns: Sequence[str], where: str) -> set[str]:
    """The names of traces that fit any of the patterns.

    Args:
        where: opens the text of a refusal.
    Raises:
        InputError: a pattern fits none.
    """
    found: set[str] = set()
    for pattern in patterns:
        fitting = fnmatch.filter(names, pattern)
        if not fitting:
            raise InputError(
                f"{where}: expected a trace named like '{pattern}', got none among "
                f"{', '.join(sorted(names)[:3])}, ... Mend the pattern; names are folder/file."
            )
        found.update(fitting)
    return found


def layer_of(name: str) -> str:
    """A trace's name less the sweep point: layer01_a300_v100_p50_ender3v2 -> layer01_ender3v2."""
    return POINT.sub("", name, count=1)


def printed_layer_of(name: str) -> str:
    """What all traces of one layer share, however many layers of its part were simulated.

    data_simulation_boat_sampled5/layer01_p30_ender3v2 -> boat/layer01_ender3v2
    """
    return f"{part_of(Path(name))}/{layer_of(name).rpartition('/')[2]}"


def point_of(name: str) -> str:
    """A trace's sweep point: layer01_a300_v100_p50_ender3v2 -> _a300_v100_p50; empty without."""
    found = POINT.search(name)
    return found.group() if found else ""


def _deal_layers(
    part_of: Mapping[str, str], ratios: Mapping[str, float], rng: np.random.Generator
) -> dict[str, list[str]]:
    wanted = sum(ratio > 0 for ratio in ratios.values())
    if len(part_of) < wanted:
        raise InputError(
            f"data.split: expected at least {wanted} layers for {wanted} splits, got "
            f"{len(part_of)}. Add traces of other layers, or set the ratio of a split to 0."
        )
    order = _spread_parts(list(part_of), list(part_of.values()), rng)
    return dict(zip(SPLITS, _cut(order, list(ratios.values())), strict=True))


def _deal_parts(
    parts: list[str], split: Split, ratios: Mapping[str, float], rng: np.random.Generator
) -> dict[str, list[str]]:
    unknown = sorted(set(split.test_parts) - set(parts))
    if unknown:
        raise InputError(
            f"data.split test_parts: expected some of {', '.join(parts)}, got "
            f"{', '.join(unknown)}. Name parts that the traces have."
        )
    rest = [part for part in parts if part not in split.test_parts]
    shares = dict(ratios) | ({"test": 0.0} if split.test_parts else {})
    wanted = sum(share > 0 for share in shares.values())
    if len(rest) < wanted:
        raise InputError(
            f"data.split: expected at least {wanted} parts to deal to {wanted} splits, got "
            f"{len(rest)}. Add parts, or split by = 'trace'."
        )
    order = [rest[i] for i in rng.permutation(len(rest))]
    dealt: dict[str, list[str]] = dict(zip(SPLITS, _cut(order, list(shares.values())), strict=True))
    dealt["test"] = dealt["test"] + list(split.test_parts)
    return dealt


def _spread_parts(
    names: Sequence[str], parts: Sequence[str], rng: np.random.Generator
) -> list[str]:
    """A random order in which every stretch holds the parts in proportion."""
    position = {}
    for part in sorted(set(parts)):
        members = sorted(n for n, p in zip(names, parts, strict=True) if p == part)
        offset = rng.random()
        for rank, index in enumerate(rng.permutation(len(members))):
            position[members[index]] = ((rank + offset) / len(members)) % 1.0
    return sorted(position, key=lambda name: (position[name], name))


def _cut(order: list[str], ratios: list[float]) -> list[list[str]]:
    """Cuts a list by ratios; a positive ratio gets at least one entry, taken from the largest."""
    total = sum(ratios)
    edges = np.round(np.cumsum([ratio / total for ratio in ratios]) * len(order)).astype(int)
    sizes = np.diff(edges, prepend=0)
    for i, ratio in enumerate(ratios):
        if ratio > 0 and sizes[i] == 0:
            sizes[np.argmax(sizes)] -= 1
            sizes[i] = 1
    ends = np.cumsum(sizes)
    return [order[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def tabulate(traces: Iterable[Trace], data: Data) -> Samples:
    """Lays traces end to end and lines up each row with its target, `horizon` samples on.

    Each trace is asked for, copied and let go before the next one.

    Args:
        traces: each longer than its horizon, see `check_length`.
    Raises:
        InputError: the disk has no room for a large table.
    """
    names, parts, num_rows, in_motion = [], [], [], []

    def tables() -> Iterator[Float32[ndarray, "_ c"]]:
        for trace in traces:
            rows = _align(trace, data)
            names.append(trace.name)
            parts.append(trace.part)
            num_rows.append(len(rows))
            in_motion.append(begins_in_motion(trace, data.features))
            yield rows

    columns = join_rows(tables(), len(data.features) + len(data.targets))
    counts = np.array(num_rows, np.int64)
    return Samples(
        features=columns[:, : len(data.features)],
        targets=columns[:, len(data.features) :],
        first_row=np.cumsum(counts) - counts,
        num_rows=counts,
        lead=max(-data.horizon, 0),
        names=tuple(names),
        parts=tuple(parts),
        in_motion=tuple(in_motion) if any(in_motion) else (),
    )


def begins_in_motion(trace: Trace, features: Sequence[str]) -> bool:
    """Whether what a trace's first errors come from lies before it.

    A trace from a log says so; another does where its first velocity is more than its own largest
    changes from sample to sample could have made in two samples from rest.
    """
    said = trace.params.get("begins_in_motion")
    axes = find_axes(features)
    if said is not None or not axes:
        return bool(said)
    velocity = trace.columns([features[axis.velocity] for axis in axes])
    most = np.max(np.abs(np.diff(velocity, axis=0)), axis=0, initial=0.0)
    return bool(np.any(np.abs(velocity[0]) > 2 * most))


def join_rows(
    tables: Iterable[Float32[ndarray, "_ c"]], num_columns: int
) -> Float32[ndarray, "rows c"]:
    """Tables end to end, read-only; beyond MOST_IN_MEMORY they are mapped from a file on disk.

    The file has no name, so it is gone with its last reader however that ends.

    Raises:
        InputError: the disk has no room.
    """
    num_bytes = 0
    file = tempfile.SpooledTemporaryFile(MOST_IN_MEMORY, dir=folder())  # noqa: SIM115
    try:
        for rows in tables:
            with _room(num_bytes):
                num_bytes += file.write(rows.tobytes())
        with _room(num_bytes):
            file.seek(0)
            if num_bytes <= MOST_IN_MEMORY:
                joined = np.frombuffer(file.read(), np.float32)
            else:
                joined = np.memmap(file, np.float32, "r").view(ndarray)
    finally:
        # On a full disk closing tries once more to write what is to be dropped.
        with contextlib.suppress(OSError):
            file.close()
    return joined.reshape(-1, num_columns)


def folder() -> str | None:
    """Where large tables go: TMPDIR where it is set, else /var/tmp; None where Python chooses."""
    is_free = "TMPDIR" not in os.environ and os.access(LARGE_FILES, os.W_OK | os.X_OK)
    return LARGE_FILES if is_free else None


@contextlib.contextmanager
def _room(num_bytes: int) -> Iterator[None]:
    """Says in one line that the disk is full, after so many bytes."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder() or tempfile.gettempdir()}: expected room for the samples, got "
            f"'{error.strerror}' after {num_bytes / 2**20:.0f} MiB. Make room, or set TMPDIR to "
            "another folder."
        ) from None


def check_length(trace: Trace, horizon: int) -> None:
    """Refuses a trace in which no sample has a target.

    Raises:
        InputError: it is no longer than the horizon.
    """
    if trace.num_samples <= abs(horizon):
        raise InputError(
            f"{trace.path}: expected more than |horizon| = {abs(horizon)} samples, got "
            f"{trace.num_samples}. Drop the file, or choose a shorter data.horizon."
        )


def _align(trace: Trace, data: Data) -> Float32[ndarray, "rows c"]:
    """Features and targets of one trace side by side, less the rows whose target lies beyond it."""
    rows = trace.num_samples - max(data.horizon, 0)
    assert rows > 0, "check_length comes first"
    columns = trace.columns((*data.features, *data.targets))
    # With horizon < 0 the first rows have no target; roll leaves other values there, and `lead`
    # keeps them out of every loss and metric.
    targets = columns[:, len(data.features) :]
    targets[:] = np.roll(targets, -data.horizon, axis=0)
    return columns[:rows].astype(np.float32)


def starts(samples: Samples, window: int, stride: int) -> dict[str, Int[ndarray, " windows"]]:
    """First rows of all windows of each part; no window leaves its trace or lacks a target.

    Args:
        window, stride: rows.
    Returns:
        part -> first rows, in trace order. A part whose traces are all too short is left out.
    """
    found: dict[str, list[ndarray]] = {}
    for span, part in zip(samples.spans(), samples.parts, strict=True):
        first = np.arange(span.start + samples.lead, span.stop - window + 1, stride, dtype=np.int64)
        found.setdefault(part, []).append(first)
    joined = {part: np.concatenate(pieces) for part, pieces in found.items()}
    return {part: rows for part, rows in joined.items() if len(rows)}


def gather(
    samples: Samples, first: Int[ndarray, " batch"], window: int
) -> tuple[Float32[ndarray, "batch window f"], Float32[ndarray, "batch window t"]]:
    """Inputs and targets of the windows that start at these rows, in one vectorised look-up."""
    rows = first[:, None] + np.arange(window)
    return samples.features[rows], samples.targets[rows]
