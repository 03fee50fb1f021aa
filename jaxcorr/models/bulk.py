"""Predictions for whole traces, in bulk: streamed with the carry, or window by window from zero.

Streaming is what the deployed predictor does, one state carried from the first sample of a trace to
its last; here many traces run side by side. The module knows rows of samples and no metrics.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32
from numpy import ndarray

from jaxcorr.data import windows
from jaxcorr.data.windows import Samples
from jaxcorr.models import network
from jaxcorr.models.network import Carry, Weights
from jaxcorr.spec import Spec

CHUNK = 256  # samples per call; a longer trace goes on with the carry
MOST_STREAMS = 64  # traces side by side
WINDOW_BATCH = 512
LEAD_S = 0.2  # in which most of what a machine did before dies away


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def _unroll(spec: Spec, weights: Weights, carry: Carry, samples: Array) -> tuple[Carry, Array]:
    return network.unroll(spec, weights, carry, samples)


def stream(spec: Spec, weights: Weights, samples: Samples) -> Float32[ndarray, "rows k"]:
    """Predicted errors (mm) of every row, each trace streamed from its first row with one carry."""
    return run_side_by_side(
        functools.partial(_unroll, spec, weights),
        functools.partial(network.carry_for, spec),
        samples,
    )


def run_side_by_side(
    unroll_fn: Callable[[Any, Array], tuple[Any, Array]],
    carry_fn: Callable[[int], Any],
    samples: Samples,
) -> Float32[ndarray, "rows k"]:
    """What a causal map makes of every row, many traces at once.

    Args:
        unroll_fn: from a carry and features (t, b, f) to the carry after them and (t, b, k).
        carry_fn: the carry of so many streams before their first samples.
        samples: a split; k are its targets.
    """
    predicted = np.zeros_like(samples.targets)
    longest_first = np.argsort(-samples.num_rows, kind="stable")
    width = min(MOST_STREAMS, len(longest_first))
    for i in range(0, len(longest_first), max(width, 1)):
        traces = longest_first[i : i + width]
        _stream_group(unroll_fn, carry_fn(width), samples, traces, width, predicted)
    return predicted


def _stream_group(
    unroll_fn: Callable[[Any, Array], tuple[Any, Array]],
    carry: Any,
    samples: Samples,
    traces: ndarray,
    width: int,
    predicted: Float32[ndarray, "rows k"],
) -> None:
    """Streams up to `width` traces side by side; ended ones run on with zeros, unread."""
    for begin in range(0, int(samples.num_rows[traces].max()), CHUNK):
        block = np.zeros((CHUNK, width, samples.features.shape[1]), np.float32)
        spans = []
        for lane, trace in enumerate(traces):
            first = samples.first_row[trace] + begin
            rows = slice(first, first + min(CHUNK, max(0, samples.num_rows[trace] - begin)))
            spans.append(rows)
            block[: rows.stop - rows.start, lane] = samples.features[rows]
        carry, errors = unroll_fn(carry, jnp.asarray(block))
        errors = np.asarray(errors)
        for lane, rows in enumerate(spans):
            predicted[rows] = errors[: rows.stop - rows.start, lane]


def from_windows(
    spec: Spec,
    weights: Weights,
    samples: Samples,
    follow_fn: Callable[[range], Iterable[int]] = iter,
) -> Float32[ndarray, "rows k"]:
    """Predicted errors (mm), each from the window that ends at its row, run from a zero carry.

    This is how the reference evaluates. Rows without a whole window (see `has_window`) are NaN.

    Args:
        samples: a split.
        follow_fn: yields the batches as they are, for a caller who shows how many are done.
    """
    predicted = np.full_like(samples.targets, np.nan)
    parts = windows.starts(samples._replace(lead=0), spec.data.window, stride=1)
    first = np.concatenate([np.zeros(0, np.int64), *parts.values()])
    for begin in follow_fn(range(0, len(first), WINDOW_BATCH)):
        rows = first[begin : begin + WINDOW_BATCH]
        padded = np.pad(rows, (0, WINDOW_BATCH - len(rows)), mode="edge")
        inputs, _ = windows.gather(samples, padded, spec.data.window)
        _, errors = _unroll(
            spec, weights, network.carry_for(spec, WINDOW_BATCH), inputs.swapaxes(0, 1)
        )
        predicted[rows + spec.data.window - 1] = np.asarray(errors)[-1, : len(rows)]
    return predicted


def has_target(samples: Samples) -> ndarray:
    """True for the rows whose target exists (all of them unless the horizon is negative)."""
    mask = np.ones(len(samples.features), np.bool_)
    for span in samples.spans():
        mask[span][: samples.lead] = False
    return mask


def is_scored(samples: Samples, rate_hz: float) -> ndarray:
    """True for the rows whose target exists and whose past a model has seen.

    A trace that begins in motion is scored after LEAD_S, or after half of it if it is shorter: what
    the machine did before is not among its rows, so that no model can know what is left of it.
    """
    mask = has_target(samples)
    for span, begun in zip(samples.spans(), samples.in_motion, strict=False):
        lead = min(round(LEAD_S * rate_hz), (span.stop - span.start) // 2)
        mask[span][: lead if begun else 0] = False
    return mask


def has_window(samples: Samples, window: int) -> ndarray:
    """True for the rows at which a whole window of their trace ends."""
    mask = np.ones(len(samples.features), np.bool_)
    for span in samples.spans():
        mask[span][: window - 1] = False
    return mask
