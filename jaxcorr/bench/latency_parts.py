"""Latency of a prediction by its parts, and endurance: drift and memory over a million of them."""

import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float32
from numpy import ndarray

from jaxcorr.data.windows import Samples
from jaxcorr.deploy import compiled_step, timing
from jaxcorr.deploy import guard as safety
from jaxcorr.deploy.predictor import Predictor
from jaxcorr.models import bulk, network
from jaxcorr.models.network import Weights
from jaxcorr.models.ranges import Ranges
from jaxcorr.spec import Spec

NUM_CALLS = 4000
REPEATS = 30
SCAN_STEPS = 200  # short enough that some of the repeats are not interrupted
CHECKED = 1000  # rows at the end of an endurance run that are compared, and each CHECKED-th before
PAGE = Path("/proc/self/statm")


def measure(
    spec: Spec, weights: Weights, samples: Samples, ranges: Ranges, predictor: Predictor
) -> dict[str, float]:
    """Microseconds of each part of a step, at the median.

    Returns:
        step_us     the whole, `Predictor.step`
        checks_us   judging the sample
        dispatch_us calling a compiled function that does nothing, with the same arrays, on the
                    device already, and reading its result
        transfer_us handing it the host's array instead
        arithmetic_us  the step within a loop that never leaves the compiled program
        rest_us     what is left: starting the program's parts, counting, the tuple
    """
    rows = samples.features.tolist()
    step = timing.time_calls(predictor.step, rows, NUM_CALLS, predictor.reset)
    dispatch, transfer = _time_empty_call(spec)
    found = {
        "step_us": float(np.median(step)),
        "checks_us": _time_checks(spec, ranges, rows),
        "dispatch_us": dispatch,
        "transfer_us": transfer,
        "arithmetic_us": _time_scan(spec, weights, samples.features),
    }
    found["rest_us"] = 2 * found["step_us"] - sum(found.values())
    return found


def _time_checks(spec: Spec, ranges: Ranges, rows: list[list[float]]) -> float:
    guard = safety.guard_for(spec, ranges, "strict", safety.ENDER3_V2_MM)
    pairs = list(zip(map(tuple, rows[1:]), map(tuple, rows), strict=False))
    seconds = timeit.repeat(
        lambda: [guard.is_quiet(sample, before) for sample, before in pairs],
        number=1,
        repeat=REPEATS,
    )
    return 1e6 * min(seconds) / len(pairs)


def _time_empty_call(spec: Spec) -> tuple[float, float]:
    """Of a function that does nothing: on an array of the device, and what the host's adds."""
    size = sum(leaf.size for leaf in jax.tree.leaves(network.carry_for(spec, 1)))
    joined = np.zeros(size + len(spec.data.features), np.float32)
    num_out = size + len(spec.data.targets)
    empty_fn = compiled_step.compile_for_cpu(lambda x: x[:num_out] + 1, joined.shape)
    placed = jax.device_put(joined, jax.local_devices(backend="cpu")[0])
    medians = [
        float(np.median(timing.time_calls(call, [()], NUM_CALLS)))
        for call in (_reader(empty_fn, placed), _reader(empty_fn, joined))
    ]
    return medians[0], medians[1] - medians[0]


def _reader(function: Callable[..., Any], argument: Any) -> Callable[[], list[float]]:
    return lambda: np.asarray(function(argument))[:2].tolist()


def _time_scan(spec: Spec, weights: Weights, features: Float32[ndarray, "n f"]) -> float:
    frozen = jax.tree.map(np.asarray, weights)
    start, unravel = ravel_pytree(network.carry_for(spec, 1))

    def body(carry: Array, sample: Array) -> tuple[Array, Array]:
        after, errors = network.step(spec, frozen, unravel(carry), sample[None])
        return ravel_pytree(after)[0], errors[0]

    rows = np.resize(features, (SCAN_STEPS, features.shape[1]))
    scan = compiled_step.compile_for_cpu(
        lambda carry, samples: jax.lax.scan(body, carry, samples)[1], start.shape, rows.shape
    )
    carry = np.asarray(start)
    seconds = timeit.repeat(
        lambda: jnp.asarray(scan(carry, rows)).block_until_ready(), number=1, repeat=REPEATS
    )
    return 1e6 * min(seconds) / SCAN_STEPS


def endure(spec: Spec, weights: Weights, samples: Samples, predictor: Predictor) -> dict[str, Any]:
    """Streams one long trace and compares with a single unroll of it.

    Returns:
        num_steps, worst_mm (of each CHECKED-th step, and of all of the last CHECKED), grown_bytes
        (resident memory from a tenth of the way to the end; None where the system does not say).
    """
    expected = bulk.stream(spec, weights, samples)
    num_steps = len(samples.features)
    predictor.reset()
    worst_mm, before = 0.0, None
    for i, row in enumerate(samples.features):
        errors = predictor.step(*row.tolist())
        if i % CHECKED == 0 or i >= num_steps - CHECKED:
            worst_mm = max(worst_mm, float(np.max(np.abs(expected[i] - errors))))
        if i == num_steps // 10:
            before = _resident_bytes()
    after = _resident_bytes()
    grown = None if before is None or after is None else after - before
    return {"num_steps": num_steps, "worst_mm": worst_mm, "grown_bytes": grown}


def _resident_bytes() -> int | None:
    """Of this process, on Linux."""
    return int(PAGE.read_text().split()[1]) * 4096 if PAGE.exists() else None
