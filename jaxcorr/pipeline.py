"""The training input: grain shuffles, mixes and batches window numbers, one gather makes arrays.

Only integers pass through grain's Python; a whole dispatch of batches is then gathered from the
sample table at once. The order is a function of the seed and the position alone, so an iterator's
state is one number. Noise on inputs and targets is the training step's, where the scale is known.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import grain
import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from jaxcorr import spool, windows
from jaxcorr.spec import Data
from jaxcorr.windows import Samples


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
    first = windows.starts(samples, data.window, data.stride)
    sources: list[Any] = [
        grain.MapDataset.source(rows)  # pyright: ignore[reportArgumentType] (an array is a source)
        .seed(seed + i)
        .shuffle()
        .repeat(None)
        for i, rows in enumerate(first.values())
    ]
    weights = [1.0 if data.balance_parts else float(len(rows)) for rows in first.values()]
    mixed = grain.MapDataset.mix(sources, weights) if len(sources) > 1 else sources[0]
    batched = mixed.batch(data.batch_size).batch(steps_per_dispatch)
    if data.augment.time_shift:
        batched = batched.seed(seed + len(sources)).random_map(_time_shift_fn(samples, data))
    gathered = batched.map(lambda rows: _gather(samples, rows, data.window))
    # One thread prepares the next dispatch while the device works on this one.
    return iter(gathered.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)))


def _gather(samples: Samples, first: Int[ndarray, "steps b"], window: int) -> Batches:
    features, targets = windows.gather(samples, first.reshape(-1), window)
    spool.release(samples.features)
    shape = (*first.shape, window)
    return Batches(
        features=features.reshape(*shape, -1).swapaxes(1, 2),
        targets=targets.reshape(*shape, -1).swapaxes(1, 2),
        first=first,
    )


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
