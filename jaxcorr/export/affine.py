"""Functions of rows taken apart: operations that are not affine, and affine values between them.

A runtime that pays by the operator, as onnxruntime does for one sample of one stream, spends most
of a small model's time on slices, sums and products with constants. `read` follows a function's
jaxpr and says of every value which constants and which products of earlier results with matrices
it is, so that `products` can compute it in as few operators as there are. What the function does is
described by the function alone.
"""

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal
from jaxtyping import Array, Int
from numpy import ndarray

Function = Callable[..., Any]
# (1 + columns, *shape): its constants, then its coefficients of each column that was known before.
# Columns are those of the function's inputs, then those of the operations' results.
Affine = ndarray

# What is not affine, value by value: the function of jax.numpy, by the primitive.
BY_VALUE = {
    "mul": "multiply",
    "div": "divide",
    "max": "maximum",
    "min": "minimum",
    "abs": "abs",
    "sin": "sin",
    "tanh": "tanh",
    "exp": "exp",
    "sqrt": "sqrt",
    "rem": "fmod",
    "lt": "less",
    "gt": "greater",
}
# The same of functions that jax jits, by their names, with the constants that they are called with.
WHOLE: dict[str, Function] = {
    "soft_sign": lambda values: jax.nn.soft_sign(values),
    "clip": lambda values, low, high: jnp.clip(values, low, high),
}
CALLS = {"jit", "pjit", "closed_call", "custom_jvp_call"}


class Operation(NamedTuple):
    """What is not affine in its operands, each (1 + columns, n)."""

    key: tuple[Any, ...]  # two with the same do the same, value by value, and can be one
    function: Function  # of arrays (b, n), one for each operand, to (b, m)
    operands: list[Affine]
    columns: Int[ndarray, " m"]  # of its result
    is_by_value: bool = True  # m is n, and each value has its own operands


class Parts(NamedTuple):
    """A function taken apart."""

    num_inputs: int  # columns of all inputs
    operations: list[Operation]  # in an order in which they can run
    results: list[Affine]  # each (1 + columns, m)


def read(function: Function, sizes: Sequence[int], forms: Mapping[str, Function]) -> Parts:
    """Takes a function apart.

    Args:
        function: of arrays (b, n) to arrays (b, m), each row by itself, whatever b is.
        sizes: n of each array.
        forms: by the name of a jitted function that is called, another to take apart in its place.
    Raises:
        NotImplementedError: an operation that is neither affine nor known.
    """
    shapes = [jax.ShapeDtypeStruct((1, size), np.float32) for size in sizes]
    closed = jax.make_jaxpr(function)(*shapes)
    reader = _Reader(forms)
    inputs = [reader.add_columns((1, size)) for size in sizes]
    # As in JAX, a division by zero is a value, which a `where` leaves out.
    with np.errstate(divide="ignore", invalid="ignore"):
        results = reader.read(closed, inputs)
    return Parts(sum(sizes), reader.operations, [flat(result) for result in results])


def flat(value: Affine) -> Affine:
    """With one axis of values."""
    return value.reshape(len(value), -1)


def pad(value: Affine, rows: int) -> Affine:
    """With coefficients, all zero, of columns that came later."""
    missing = np.zeros((max(rows - len(value), 0), *value.shape[1:]), value.dtype)
    return np.concatenate([value, missing]) if len(missing) else value


def is_equal(a: Affine, b: Affine) -> bool:
    """Whether two are the same, whatever columns they know."""
    rows = max(len(a), len(b))
    return a.shape[1:] == b.shape[1:] and np.array_equal(pad(a, rows), pad(b, rows))


class _Reader:
    """Reads jaxprs, and collects their operations."""

    def __init__(self, forms: Mapping[str, Function]):
        self.operations: list[Operation] = []
        self._forms = forms
        self._num_columns = 0

    def add_columns(self, shape: Sequence[int]) -> Affine:
        """New columns, as values of this shape."""
        size = int(np.prod(shape))
        self._num_columns += size
        return self._columns(np.arange(self._num_columns - size, self._num_columns), shape)

    def _columns(self, columns: Int[ndarray, " n"], shape: Sequence[int]) -> Affine:
        value = np.zeros((1 + self._num_columns, len(columns)))
        value[1 + columns, np.arange(len(columns))] = 1.0
        return value.reshape(-1, *shape)

    def read(self, closed: ClosedJaxpr, operands: Sequence[Affine]) -> list[Affine]:
        """The results of a jaxpr of these operands."""
        jaxpr = closed.jaxpr
        known: dict[Any, Affine] = {}

        def find(atom: Any) -> Affine:
            return _constant(atom.val) if isinstance(atom, Literal) else known[atom]

        known |= zip(jaxpr.constvars, map(_constant, closed.consts), strict=True)
        known |= zip(jaxpr.invars, operands, strict=True)
        for eqn in jaxpr.eqns:
            results = self._read_one(eqn, [find(atom) for atom in eqn.invars])
            known |= zip(eqn.outvars, results, strict=True)
        return [find(atom) for atom in jaxpr.outvars]

    def _read_one(self, eqn: Any, operands: list[Affine]) -> list[Affine]:
        name = eqn.primitive.name
        if name in CALLS:
            return self._call(eqn, operands)
        if (linear := _apply_linear(eqn, operands)) is not None:
            return linear
        if all(map(_is_constant, operands)):
            return _evaluate(eqn, [operand[0] for operand in operands])
        if name == "scan":
            return self._leave_whole(eqn, operands)
        return [self._operate(*_find_operation(eqn, operands))]

    def _call(self, eqn: Any, operands: list[Affine]) -> list[Affine]:
        name = eqn.params.get("name", "")
        if name in WHOLE:
            constants = [float(o.flat[0]) for o in operands if _is_constant(o)]
            return [self._operate((name, *constants), WHOLE[name], operands)]
        form = self._forms.get(name)
        if form is None:
            return self.read(eqn.params.get("jaxpr", eqn.params.get("call_jaxpr")), operands)
        shapes = [jax.ShapeDtypeStruct(o.shape[1:], np.float32) for o in operands]
        return self.read(jax.make_jaxpr(form)(*shapes), operands)

    def _operate(
        self, key: tuple[Any, ...], function: Function, operands: Sequence[Affine]
    ) -> Affine:
        """The result of an operation value by value, which may be there already."""
        shape = np.broadcast_shapes(*(operand.shape[1:] for operand in operands))
        wide = [flat(_spread(operand, shape)) for operand in operands]
        for other in self.operations:
            if other.key == key and all(map(is_equal, other.operands, wide)):
                return self._columns(other.columns, shape)
        return self._append(key, function, wide, shape)

    def _append(
        self,
        key: tuple[Any, ...],
        function: Function,
        operands: list[Affine],
        shape: Sequence[int],
        is_by_value: bool = True,
    ) -> Affine:
        result = self.add_columns(shape)
        columns = np.arange(self._num_columns - result[0].size, self._num_columns)
        self.operations.append(Operation(key, function, operands, columns, is_by_value))
        return result

    def _leave_whole(self, eqn: Any, operands: list[Affine]) -> list[Affine]:
        """The results of a loop, run on each row by itself."""
        shapes = [atom.aval.shape for atom in eqn.outvars]
        kept = [
            None if not _is_constant(operand) else np.asarray(operand[0], atom.aval.dtype)
            for operand, atom in zip(operands, eqn.invars, strict=True)
        ]

        def run_one(*values: Array) -> Array:
            given = iter(values)
            operands = [
                next(given).reshape(atom.aval.shape) if constant is None else constant
                for constant, atom in zip(kept, eqn.invars, strict=True)
            ]
            results = eqn.primitive.bind(*operands, **eqn.params)
            return jnp.concatenate([result.reshape(-1) for result in results])

        sizes = [int(np.prod(shape)) for shape in shapes]
        read = [flat(o) for o, constant in zip(operands, kept, strict=True) if constant is None]
        key = ("scan", len(self.operations))
        whole = self._append(key, jax.vmap(run_one), read, (sum(sizes),), False)
        parts = np.split(whole, np.cumsum(sizes)[:-1], axis=1)
        return [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]


def _evaluate(eqn: Any, operands: Sequence[Any]) -> list[Affine]:
    """The results of a primitive of constants."""
    if (name := BY_VALUE.get(eqn.primitive.name)) is not None:
        return [_constant(getattr(np, name)(*operands))]
    given = zip(operands, eqn.invars, strict=True)
    values = [np.asarray(operand, atom.aval.dtype) for operand, atom in given]
    result = eqn.primitive.bind(*values, **eqn.params)
    return list(map(_constant, result if eqn.primitive.multiple_results else [result]))


def _find_operation(
    eqn: Any, operands: list[Affine]
) -> tuple[tuple[Any, ...], Function, list[Affine]]:
    """Key, function and operands of a primitive that is not affine in them."""
    name = eqn.primitive.name
    match name:
        case "name":  # what is named is to be there as it is
            return (name,), lambda values: values, operands
        case "integer_pow" if eqn.params["y"] == 2:
            return ("mul",), _by_value("multiply"), operands * 2
        case "cos":  # so that it is one operation with a sine
            (angle,) = operands
            ahead = np.concatenate([angle[:1] + np.pi / 2.0, angle[1:]])
            return ("sin",), _by_value("sin"), [ahead]
        case "select_n":  # of one predicate, which is no number and so no sum
            columns = tuple(np.flatnonzero(flat(operands[0]).any(1)))
            return (name, *columns), lambda is_so, no, yes: jnp.where(is_so, yes, no), operands
        case "mul":  # what is known sooner first, so that several that are joined read less
            sooner = sorted(operands, key=lambda operand: np.flatnonzero(flat(operand).any(1))[-1])
            return (name,), _by_value("multiply"), sooner
        case "max" if not operands[1].any():
            return ("relu",), lambda values: jax.nn.relu(values), operands[:1]
        case _ if name in BY_VALUE:
            return (name,), _by_value(BY_VALUE[name]), operands
    raise NotImplementedError(f"{name}: neither affine nor an operation that is known")


def _by_value(name: str) -> Function:
    """A function of jax.numpy as it is when called: jax2onnx puts its own there."""
    return lambda *operands: getattr(jnp, name)(*operands)


def _constant(values: Any) -> Affine:
    array = np.asarray(values)
    is_real = jnp.issubdtype(array.dtype, np.floating)
    return (array.astype(np.float64) if is_real else array)[None]


def _spread(value: Affine, shape: Sequence[int]) -> Affine:
    """In this shape: a number stands for as many as there are."""
    value = value if value.ndim > 1 else value.reshape(-1, *[1] * len(shape))
    return np.broadcast_to(value, (len(value), *shape))


def _is_constant(value: Affine) -> bool:
    return not value[1:].any()


def _apply_linear(eqn: Any, operands: list[Affine]) -> list[Affine] | None:
    """The results of a primitive that is affine in these operands."""
    name, params, shape = eqn.primitive.name, eqn.params, eqn.outvars[0].aval.shape
    if not operands:
        return None
    first, rows = operands[0], max(map(len, operands))
    match name:
        case "convert_element_type" | "copy":
            return [first]
        case "neg":
            return [-first]
        case "add" | "add_any" | "sub":
            a, b = (_spread(pad(o, rows), shape) for o in operands)
            return [a - b if name == "sub" else a + b]
        case "mul" if _is_constant(operands[1]):
            return [first * operands[1][:1]]
        case "mul" if _is_constant(first):
            return [first[:1] * operands[1]]
        case "div" if _is_constant(operands[1]):
            return [first / operands[1][:1]]
        case "dot_general" if any(map(_is_constant, operands)):
            return [_multiply(first, operands[1], params["dimension_numbers"])]
        case "reduce_sum":
            return [first.sum(tuple(1 + axis for axis in params["axes"]))]
        case "concatenate":
            return [np.concatenate([pad(o, rows) for o in operands], params["dimension"] + 1)]
        case "stack":
            return [np.stack([pad(o, rows) for o in operands], params["axis"] + 1)]
        case "split":
            ends = np.cumsum(params["sizes"])[:-1]
            return np.split(first, ends, params["axis"] + 1)
        case "reshape" | "squeeze" | "expand_dims":
            return [first.reshape(-1, *shape)]
        case "broadcast_in_dim":
            kept = params["broadcast_dimensions"]
            new = [axis for axis in range(len(shape)) if axis not in kept]
            narrow = np.expand_dims(first, tuple(1 + axis for axis in new))
            return [np.broadcast_to(narrow, (len(first), *shape))]
        case "transpose":
            return [first.transpose(0, *(1 + axis for axis in params["permutation"]))]
        case "slice":
            steps = params["strides"] or [1] * len(shape)
            ends = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
            cut = [slice(begin, end, step) for begin, end, step in ends]
            return [first[(slice(None), *cut)]]
        case "gather" | "dynamic_slice":  # moved as the numbers of its values are
            numbers = np.arange(first[0].size, dtype=np.int32).reshape(first.shape[1:])
            moved = eqn.primitive.bind(numbers, *(o[0] for o in operands[1:]), **params)
            return [flat(first)[:, np.asarray(moved)]]
    return None


def _multiply(a: Affine, b: Affine, dimensions: Any) -> Affine:
    """A product of two, of which one is constant."""
    (over_a, over_b), (batch_a, batch_b) = dimensions
    letters = iter(string.ascii_lowercase)
    axes_a, axes_b = ([next(letters) for _ in value.shape[1:]] for value in (a, b))
    for i, j in (*zip(over_a, over_b, strict=True), *zip(batch_a, batch_b, strict=True)):
        axes_b[j] = axes_a[i]
    summed = {axes_a[i] for i in over_a}
    shared = [axes_a[i] for i in batch_a]
    rest = [axis for axis in axes_a + axes_b if axis not in summed and axis not in shared]
    if _is_constant(a):
        given, values = f"{''.join(axes_a)},Z{''.join(axes_b)}", (a[0], b)
    else:
        given, values = f"Z{''.join(axes_a)},{''.join(axes_b)}", (a, b[0])
    return np.einsum(f"{given}->Z{''.join(shared + rest)}", *values)
