"""`linear_path.py` as operators of an ONNX graph: of one sample with what is pending, or a window.

The module knows the regression's arithmetic and no network.
"""

import numpy as np

from jaxcorr.deploy.onnx_graph import Graph
from jaxcorr.deploy.parameters import LinearPath
from jaxcorr.models import linear_path
from jaxcorr.spec import NUM_LAGS

ROWS = 0  # the axis of samples


def step(graph: Graph, path: LinearPath) -> str:
    """The path's error (b, k) at `sample`; reads previous_sample, pending; writes next_pending."""
    now, before = (_select(graph, path, name) for name in ("sample", "previous_sample"))
    said = _say(graph, path, now, before)
    num_targets = len(path.offset)
    room = graph.integers(0, 0, 0, num_targets)
    total = graph.add("Add", graph.add("Pad", "pending", room), said)
    end = path.response.shape[1]
    graph.add("Slice", total, *map(graph.integers, (num_targets, end, 1)), name="next_pending")
    return graph.add("Add", graph.cut(total, 0, num_targets, 1), graph.constant(path.offset))


def window(graph: Graph, path: LinearPath, samples: str) -> str:
    """The path's error (b, k) at the last of t samples (t, b, f), from nothing pending."""
    velocities = _select(graph, path, samples)
    rest = graph.add("Pad", velocities, graph.integers(1, 0, 0, 0, 0, 0))
    said = _say(graph, path, velocities, graph.cut(rest, 0, -1, ROWS))
    # A window may be shorter than the lags; what is not there said nothing.
    padded = graph.add("Pad", said, graph.integers(NUM_LAGS, 0, 0, 0, 0, 0))
    last = graph.add(
        "Slice", padded, *map(graph.integers, (-NUM_LAGS, np.iinfo(np.int64).max, ROWS))
    )
    # Of the last sample its share of this error, of the one before its share of the next, ...
    by_lag = graph.add("Reshape", last, graph.integers(NUM_LAGS, -1, NUM_LAGS, len(path.offset)))
    chosen = np.eye(NUM_LAGS)[::-1, None, :, None]
    shares = graph.add("Mul", by_lag, graph.constant(chosen))
    total = graph.add("ReduceSum", shares, graph.integers(0, 2), keepdims=0)
    return graph.add("Add", total, graph.constant(path.offset))


def _select(graph: Graph, path: LinearPath, samples: str) -> str:
    return graph.add("Gather", samples, graph.integers(*path.velocities), axis=-1)


def _say(graph: Graph, path: LinearPath, now: str, before: str) -> str:
    """What samples add to their own and later errors, from their velocities (..., 2)."""
    return graph.add("MatMul", _regressors(graph, now, before), graph.constant(path.response))


def _regressors(graph: Graph, now: str, before: str) -> str:
    """`linear_path.derive_regressors`; true is 1 and false 0."""
    zero, one = graph.constant(0.0), graph.constant(1.0)
    squared = _squared_speed(graph, now)
    faster = _at_least(graph, squared, graph.constant(linear_path.squared_edges()))
    is_moving = graph.cut(faster, 0, 1, -1)
    # A band is what is faster than its lower edge and not faster than its upper one.
    edges = np.eye(linear_path.NUM_BANDS)[1:]
    passed = graph.add("MatMul", faster, graph.constant(edges - np.roll(edges, -1, axis=1)))
    first = graph.constant(np.eye(linear_path.NUM_BANDS)[0])
    bands = graph.add("Add", passed, first)
    left = graph.add("MatMul", now, graph.constant(linear_path.edge_normals().T))
    is_left = _at_least(graph, left, zero)
    num_sectors = linear_path.NUM_SECTORS
    next_left = graph.add(
        "Concat",
        *(graph.cut(is_left, 1, num_sectors, -1), graph.cut(is_left, 0, 1, -1)),
        axis=-1,
    )
    between = graph.add("Mul", is_left, graph.add("Sub", one, next_left))
    sectors = graph.add("Mul", between, is_moving)
    speed, earlier = (
        graph.add("Sqrt", value) for value in (squared, _squared_speed(graph, before))
    )
    change = graph.add("Sub", speed, earlier)
    slowing = graph.add("Less", change, graph.constant(-linear_path.SLOWING_MM_S))
    slow_bands = graph.add("Mul", bands, graph.add("Cast", slowing, to=_float()))
    unit = graph.add("Div", now, graph.add("Max", speed, graph.constant(linear_path.REST_MM_S)))
    directed = [
        graph.add("Mul", graph.cut(unit, i, i + 1, -1), bands)
        for i in range(linear_path.NUM_VELOCITIES)
    ]
    at_rest = graph.add("Sub", one, is_moving)
    return graph.add("Concat", now, sectors, at_rest, bands, slow_bands, *directed, axis=-1)


def _squared_speed(graph: Graph, velocities: str) -> str:
    squares = graph.add("Mul", velocities, velocities)
    return graph.add("ReduceSum", squares, graph.integers(-1), keepdims=1)


def _at_least(graph: Graph, values: str, edges: str) -> str:
    return graph.add("Cast", graph.add("GreaterOrEqual", values, edges), to=_float())


def _float() -> int:
    from onnx import TensorProto

    return TensorProto.FLOAT
