"""Training batches: windows shuffled, parts interleaved, a dispatch of batches made at once.

The order is a function of the seed and the position alone, so an iterator's state is one number;
grain keeps it, and makes batches ahead of their use. Noise on inputs and targets is the training
step's, where the scale is known.
"""

import functools
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from jaxcorr.data import windows
from jaxcorr.data.windows import Samples
from jaxcorr.errors import InputError
from jaxcorr.spec import Data, Spec


class Batches(NamedTuple):
    """`steps` batches for one dispatch: raw inputs (mm, mm/s) and targets (mm), time-major."""

    features: Float32[ndarray, "steps t b f"]
    targets: Float32[ndarray, "steps t b k"]
    first: Int[ndarray, "steps b"]  # first row of each window, to name its trace


class Plan(NamedTuple):
    """How an epoch is cut: `dispatches` calls of `steps_per_dispatch` steps of `batch_size`."""

    dispatches: int
    steps_per_dispatch: int
    num_windows: int

    @property
    def steps_per_epoch(self) -> int:
        return self.dispatches * self.steps_per_dispatch


def plan_epoch(num_windows: int, batch_size: int, most_per_dispatch: int) -> Plan:
    """An epoch of about `num_windows` windows, in dispatches of equal length: one compilation."""
    steps = max(1, round(num_windows / batch_size))
    dispatches = -(-steps // most_per_dispatch)
    return Plan(dispatches, -(-steps // dispatches), num_windows)


def plan_for(spec: Spec, train: Samples) -> Plan:
    """How an epoch over the training split is cut into dispatches.

    Raises:
        InputError: the split has fewer windows than a batch.
    """
    first = windows.starts(train, spec.data.window, spec.data.stride)
    num_windows = sum(len(rows) for rows in first.values())
    if spec.data.batch_size > num_windows:
        raise InputError(
            f"data.batch_size: expected at most the {num_windows} training windows, got "
            f"{spec.data.batch_size}. Lower it, or data.stride."
        )
    return plan_epoch(num_windows, spec.data.batch_size, spec.train.steps_per_dispatch)


def training_batches(
    samples: Samples, data: Data, steps_per_dispatch: int, seed: int
) -> grain.DatasetIterator:
    """An endless iterator of `Batches`; its get_state and set_state resume it exactly.

    Each part's windows are shuffled anew for every pass, then parts are interleaved in equal
    shares (data.balance_parts) or in proportion to their windows.

    Args:
        samples: the training split.
        seed: of the shuffles and of the time shifts.
    """
    starts = list(windows.starts(samples, data.window, data.stride).values())
    order = _Order(starts, (steps_per_dispatch, data.batch_size), data.balance_parts, seed)
    source = grain.MapDataset.source(order)
    if data.augment.time_shift:
        source = source.seed(seed + len(starts)).random_map(_time_shift_fn(samples, data))
    gathered = source.map(lambda first: _gather(samples, first, data.window))
    # One thread prepares the next dispatch while the device works on this one.
    return iter(gathered.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)))


class _Order:
    """First rows of the windows of each dispatch, by its number; without end.

    Not by grain's own shuffle: that takes some 50 us a window, and an eighth of the training.
    """

    def __init__(
        self,
        starts: Sequence[ndarray],
        shape: tuple[int, int],
        is_balanced: bool,
        seed: int,
    ) -> None:
        self._starts, self._shape, self._seed = starts, shape, seed
        sizes = np.array([len(rows) for rows in starts])
        # Windows of each part in a cycle, and which part comes at each place of one.
        self._shares = np.ones_like(sizes) if is_balanced else sizes // np.gcd.reduce(sizes)
        self._cycle, self._rank = _interleave(self._shares)
        # Keeps the pass that is under way and the next, of each part.
        self._shuffles = [
            functools.lru_cache(2)(functools.partial(self._shuffle, part))
            for part in range(len(sizes))
        ]

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> Int[ndarray, "steps b"]:
        size = self._shape[0] * self._shape[1]
        cycle, place = np.divmod(index * size + np.arange(size), len(self._cycle))
        part = self._cycle[place]
        drawn = cycle * self._shares[part] + self._rank[place]  # of its part, so far
        first = np.empty(size, np.int64)
        for i, rows in enumerate(self._starts):
            mine = np.flatnonzero(part == i)
            passes, within = np.divmod(drawn[mine], len(rows))
            for n in np.unique(passes):
                chosen = passes == n
                first[mine[chosen]] = self._shuffles[i](int(n))[within[chosen]]
        return first.reshape(self._shape)

    def _shuffle(self, part: int, number: int) -> Int[ndarray, " windows"]:
        return np.random.default_rng((self._seed, part, number)).permutation(self._starts[part])


def _interleave(
    shares: Int[ndarray, " parts"],
) -> tuple[Int[ndarray, " cycle"], Int[ndarray, " cycle"]]:
    """Parts evenly spread over one cycle with these shares, and how many of its own came before."""
    # Small numbers: in proportion to the windows, a cycle may be as long as all of them.
    part = np.repeat(np.arange(len(shares), dtype=np.int16), shares)
    rank = np.concatenate([np.arange(share, dtype=np.int32) for share in shares])
    order = np.argsort((rank + 0.5) / shares[part], kind="stable")
    return part[order], rank[order]


def _gather(samples: Samples, first: Int[ndarray, "steps b"], window: int) -> Batches:
    # Time-major at once: devices take such an array as it is, another is copied first.
    rows = first[:, None, :] + np.arange(window)[:, None]
    return Batches(samples.features[rows], samples.targets[rows], first)


def _time_shift_fn(
    samples: Samples, data: Data
) -> Callable[[ndarray, np.random.Generator], ndarray]:
    """Moves window starts by up to `time_shift` samples either way, within their traces."""
    lowest = samples.first_row + samples.lead
    highest = samples.first_row + samples.num_rows - data.window
    most = data.augment.time_shift

    def shift(first: Int[ndarray, "steps b"], rng: np.random.Generator) -> Int[ndarray, "steps b"]:
        trace = np.searchsorted(samples.first_row, first, side="right") - 1
        shifted = first + rng.integers(-most, most, first.shape, endpoint=True)
        return np.clip(shifted, lowest[trace], highest[trace])

    return shift
