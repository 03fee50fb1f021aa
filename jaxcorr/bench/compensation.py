"""Latency of compensation: a layer offline, and block by block as control code calls it."""

import time
from typing import Any

import numpy as np
from numpy import ndarray

from jaxcorr.compensation import solver
from jaxcorr.compensation.compensator import Compensator, Status
from jaxcorr.compensation.model_map import ModelMap
from jaxcorr.deploy import timing
from jaxcorr.printer.planner import Plan, reference_rows
from jaxcorr.training.restore import Loaded

ROUNDS = 3  # of the offline solver, whose best counts


def measure(
    loaded: Loaded, plan: Plan, lookahead_ms: float, block_ms: float, num_layers: int = 1
) -> dict[str, Any]:
    """Times of one layer.

    Args:
        loaded: the run.
        plan: of the layer.
        lookahead_ms, block_ms: of the compensator.
        num_layers: how often the layer is compensated by block.

    Returns:
        num_samples; offline: seconds, seconds_a_minute of motion, first_seconds (with
        compilation), num_steps, outcome, predicted RMS before and after in mm; blocks: as
        `timing.summarize`, with block_us, p99_share of it, and the compensator's counts.
    """
    began = time.perf_counter()
    model = ModelMap(loaded)
    reference = reference_rows(plan, model.rate_hz)
    offline = _measure_offline(model, reference, began)
    blocks = _measure_blocks(loaded, reference, lookahead_ms, block_ms, num_layers)
    return {"num_samples": len(reference), "offline": offline, "blocks": blocks}


def _measure_offline(model: ModelMap, reference: ndarray, began: float) -> dict[str, Any]:
    """The whole layer at once; `began` before anything was compiled."""
    num_knots = (len(reference) - 1) // model.per_knot + 1
    error_fn = model.error_fn(reference[: (num_knots - 1) * model.per_knot + 1])
    arguments = error_fn, model.response, num_knots, model.knot_rate_hz, model.options
    solution = solver.solve(*arguments)
    ends = [began, time.perf_counter()]
    for _ in range(ROUNDS):
        solver.solve(*arguments)
        ends.append(time.perf_counter())
    seconds = np.diff(ends)
    return {
        "seconds": float(seconds[1:].min()),
        "seconds_a_minute": float(seconds[1:].min()) * 60.0 * model.knot_rate_hz / num_knots,
        "first_seconds": float(seconds[0]),
        "num_steps": len(solution.rms_mm) - 1,
        "outcome": solution.outcome,
        "before_mm": solution.rms_mm[0],
        "after_mm": solution.rms_mm[-1],
    }


def _measure_blocks(
    loaded: Loaded, reference: ndarray, lookahead_ms: float, block_ms: float, num_layers: int
) -> dict[str, Any]:
    """Every block of the layer, back to back."""
    compensator = Compensator(loaded, lookahead_ms, block_ms)
    elapsed_us, counted = [], []
    for _ in range(num_layers):
        compensator.reset()
        compensator.feed(reference)
        compensator.finish()
        while True:
            begun = time.perf_counter()
            num_sent = len(compensator.next_block())
            if not num_sent:
                break
            elapsed_us.append(1e6 * (time.perf_counter() - begun))
        counted.append(compensator.status)
    names = [name for name in Status._fields if name.startswith("num_")]
    counts = {name: sum(getattr(status, name) for status in counted) for name in names}
    times = timing.summarize(np.array(elapsed_us))
    block_us = 1e6 * compensator.block / compensator.rate_hz
    share = times["p99_us"] / block_us
    return {**times, **counts, "block_us": block_us, "p99_share": share}
