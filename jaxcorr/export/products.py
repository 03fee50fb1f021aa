"""Functions of rows, computed by products with matrices and what is not affine between them.

`fold` turns a function that `affine` took apart into one that takes few operators: operations of
one kind that can run at the same time are one, and every operand is a sum of products of earlier
results with matrices, whose constants and whole results need no operator of their own. What few
operands read is multiplied where it is read. Where many later ones read the same results, as in a
recurrence, one row holds what all of them will read, and each new result is added to it once.
"""

import itertools
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int
from numpy import ndarray

from jaxcorr.export import affine
from jaxcorr.export.affine import Affine, Function, Operation, Parts

MOST_DIRECT = 2  # results that a sum multiplies one by one; more are joined to one row first
MOST_STARTS = 10  # sums from which on a row is tried to be shared
LEAST_SHARED = 4  # later sums that make a result worth a place in the row for all of them
COST_OF_JOINING = 1.5  # several results to one row, in operators
MACS_PER_OPERATOR = 3000  # of a product, that take as long as one operator more
# Of operations that may get a column more: what its operands are there, and its result.
EXTRA = {
    "tanh": ((30.0,), 1.0),
    "mul": ((1.0, 1.0), 1.0),
    "div": ((1.0, 1.0), 1.0),
    "soft_sign": ((0.0,), 0.0),
}


class Sum(NamedTuple):
    """A constant, and products of results, by number, with matrices."""

    constant: Float[ndarray, " n"]
    parts: dict[int, Float[ndarray, "m n"]]
    whole: frozenset[int]  # those of the parts that are taken as they are
    has_constant: bool


class Step(NamedTuple):
    """How one sum is made."""

    again: int | None  # the number of an earlier one that is the same
    added: list[int]  # results that the shared row gets first
    is_shared: bool  # whether a part of the sum is read from there
    rest: list[int]  # results that it multiplies itself


class Program(NamedTuple):
    """Operations in the order in which they run, and how the sums are made that they read."""

    operations: list[Operation]
    sums: list[Sum]  # the operations' operands in their order, then the results
    steps: list[Step]
    served: list[int]  # sums that the shared row holds a part of
    cost: float  # operators, and products as long as these


def fold(function: Function, sizes: Sequence[int], forms: Mapping[str, Function]) -> Function:
    """The same function, to float32's rounding, in few operators.

    Args:
        function: of arrays (b, n) to a tree of arrays (b, m), each row by itself, whatever b is.
        sizes: n of each array.
        forms: see `affine.read`.
    """
    shapes = [jax.ShapeDtypeStruct((1, size), np.float32) for size in sizes]
    structure = jax.tree.structure(jax.eval_shape(function, *shapes))
    program = _find_program(affine.read(function, sizes, forms))

    def folded(*rows: Float[ArrayLike, "b _"]) -> Any:
        return jax.tree.unflatten(structure, _run(program, rows))

    return folded


def _find_program(parts: Parts) -> Program:
    """Leaves out what nobody reads, and tries what takes fewer operators."""
    parts = _keep_used(parts)
    reads = [_find_columns(operation.operands) for operation in parts.operations]
    levels = _find_soonest(parts, reads)
    best = _join(parts, levels)
    # Where there are others of its kind an operation may wait for them.
    latest = np.full(_count_rows(parts), max(levels, default=0))
    for i in reversed(range(len(levels))):
        operation = parts.operations[i]
        bound = latest[1 + operation.columns].min()
        later = {
            level
            for level, other in zip(levels, parts.operations, strict=True)
            if other.key == operation.key and levels[i] < level <= bound
        }
        for level in sorted(later):
            tried = [*levels[:i], level, *levels[i + 1 :]]
            program = _join(parts, tried)
            if program.cost <= best.cost:
                best, levels = program, tried
        latest[reads[i]] = np.minimum(latest[reads[i]], levels[i] - 1)
    for i, operation in enumerate(parts.operations):
        for at in range(len(operation.operands)):
            if (tried := _move_constant(parts, i, at)) is not None:
                program = _join(tried, levels)
                if program.cost < best.cost:
                    best, parts = program, tried
    return best


def _keep_used(parts: Parts) -> Parts:
    is_used, kept = np.zeros(_count_rows(parts), bool), []
    is_used[_find_columns(parts.results)] = True
    for operation in reversed(parts.operations):
        used = is_used[1 + operation.columns]
        if not used.any():
            continue
        if operation.is_by_value:
            operands = [operand[:, used] for operand in operation.operands]
            operation = operation._replace(operands=operands, columns=operation.columns[used])
        is_used[_find_columns(operation.operands)] = True
        kept.append(operation)
    return parts._replace(operations=kept[::-1])


def _count_rows(parts: Parts) -> int:
    """Of an affine value that knows all columns."""
    last = [int(operation.columns.max()) for operation in parts.operations]
    return 1 + max([parts.num_inputs, *(1 + one for one in last)])


def _find_columns(values: Sequence[Affine]) -> Int[ndarray, " rows"]:
    """Rows of the columns that these read."""
    return np.unique(np.concatenate([1 + np.flatnonzero(v[1:].any(1)) for v in values]))


def _find_soonest(parts: Parts, reads: list[ndarray]) -> list[int]:
    """The level of each operation: one more than those that it reads."""
    level_of, levels = np.zeros(_count_rows(parts), int), []
    for operation, read in zip(parts.operations, reads, strict=True):
        levels.append(1 + int(max(level_of[read], default=0)))
        level_of[1 + operation.columns] = levels[-1]
    return levels


def _move_constant(parts: Parts, i: int, at: int) -> Parts | None:
    """The same with a sum's constant as a product with a result that is one.

    Where a sum takes one result as it is and multiplies another, that saves the operator that adds
    the constant. All operations that take each other's results as they are get that column.
    """
    operand = parts.operations[i].operands[at]
    if not operand[0].any():
        return None
    read = {*np.flatnonzero(operand[1:].any(1))}
    makers = [j for j in range(i) if not read.isdisjoint(parts.operations[j].columns)]
    wholes = {j for j in makers if _is_whole(operand, parts.operations[j])}
    if len(makers) != 2 or len(wholes) != 1:
        return None
    (maker,) = {*makers} - wholes
    chain, waiting = set[int](), [maker]
    while waiting:
        one = waiting.pop()
        if one in chain:
            continue
        if parts.operations[one].key[0] not in EXTRA:
            return None
        chain.add(one)
        waiting += _find_linked(parts, one)
    if EXTRA[parts.operations[maker].key[0]][1] != 1.0:
        return None
    return _extend(parts, sorted(chain), (i, at, maker))


def _find_linked(parts: Parts, i: int) -> list[int]:
    """Operations whose result this one takes as it is, and those that take its own so."""
    this, others = parts.operations[i], enumerate(parts.operations)
    return [
        j
        for j, other in others
        if j != i
        and (
            any(_is_whole(operand, other) for operand in this.operands)
            or any(_is_whole(operand, this) for operand in other.operands)
        )
    ]


def _extend(parts: Parts, chain: list[int], moved: tuple[int, int, int]) -> Parts:
    """A column more for each operation of a chain, and a constant moved to that of one of them."""
    operations, first = list(parts.operations), _count_rows(parts)
    rows = {i: first + k for k, i in enumerate(chain)}  # of the new columns
    for i in chain:
        operation, operands = operations[i], []
        for operand, value in zip(operation.operands, EXTRA[operation.key[0]][0], strict=True):
            wide = affine.pad(operand, first + len(chain))
            extra = np.zeros((len(wide), 1))
            for j in chain:
                if _is_whole(operand, parts.operations[j]):
                    extra[rows[j]] = 1.0
                    value -= EXTRA[parts.operations[j].key[0]][1]
            extra[0] = value
            operands.append(np.concatenate([wide, extra], 1))
        columns = np.append(operation.columns, rows[i] - 1)
        operations[i] = operation._replace(operands=operands, columns=columns)
    i, at, maker = moved
    operand = affine.pad(operations[i].operands[at], first + len(chain))
    operand[rows[maker]] += operand[0]
    operand[0] = 0.0
    operands = [operand if k == at else other for k, other in enumerate(operations[i].operands)]
    operations[i] = operations[i]._replace(operands=operands)
    return parts._replace(operations=operations)


def _block(operand: Affine, maker: Operation) -> Float[ndarray, "m n"]:
    """What a sum multiplies an operation's result with."""
    return affine.pad(operand, 2 + int(maker.columns.max()))[1 + maker.columns]


def _is_whole(operand: Affine, maker: Operation) -> bool:
    return _is_identity(_block(operand, maker))


def _join(parts: Parts, levels: list[int]) -> Program:
    """One operation of all of a kind on a level, and the sums in as few operators as found."""
    groups: dict[tuple[int, tuple[Any, ...]], list[Operation]] = {}
    for level, operation in sorted(zip(levels, parts.operations, strict=True), key=itemgetter(0)):
        groups.setdefault((level, operation.key), []).append(operation)
    columns = [
        np.arange(parts.num_inputs),
        *(np.concatenate([operation.columns for operation in group]) for group in groups.values()),
    ]
    rows, size = np.concatenate([[0], *(1 + one for one in columns)]), _count_rows(parts)
    ends = [1, *(1 + np.cumsum([len(one) for one in columns]))]

    def add_up(values: Sequence[Affine]) -> Sum:
        whole = np.concatenate([affine.pad(value, size) for value in values], 1)[rows]
        blocks = [whole[begin:end] for begin, end in itertools.pairwise(ends)]
        found = {i: block for i, block in enumerate(blocks) if block.any()}
        as_they_are = frozenset(i for i, block in found.items() if _is_identity(block))
        return Sum(whole[0], found, as_they_are, bool(whole[0].any()))

    operations = [group[0] for group in groups.values()]
    sums = [
        add_up(operands)
        for group in groups.values()
        for operands in zip(*(operation.operands for operation in group), strict=True)
    ]
    sums += [add_up([result]) for result in parts.results]
    again = {
        i: j for i, one in enumerate(sums) for j in reversed(range(i)) if _is_same(one, sums[j])
    }
    starts = [i for i, one in enumerate(sums) if len(one.parts) > MOST_DIRECT][:MOST_STARTS]
    plans = [_plan(sums, again, start) for start in (len(sums), *starts)]
    steps, served, cost = min(plans, key=lambda plan: plan[-1])
    return Program(operations, sums, steps, served, cost + len(operations))


def _plan(
    sums: list[Sum], again: dict[int, int], start: int
) -> tuple[list[Step], list[int], float]:
    """How the sums are made if a row is shared from one of them on, what it serves, and cost."""
    later = [one for one in sums[start + 1 :] if len(one.parts) > MOST_DIRECT]
    read = sums[start].parts if start < len(sums) else ()
    lasting = {i for i in read if sum(i in one.parts for one in later) >= LEAST_SHARED}
    served = [i for i in range(start, len(sums)) if len(lasting & {*sums[i].parts}) > MOST_DIRECT]
    width = sum(sums[i].constant.size for i in served)
    last_read, is_served = {i: at for at in served for i in sums[at].parts}, {*served}
    steps, cost, held = [], 0.0, set()
    for at, one in enumerate(sums):
        if at in again:
            steps.append(Step(again[at], [], False, []))
            continue
        is_shared = at in is_served
        new = [i for i in one.parts if not is_shared or i not in held]
        added = [i for i in new if is_shared and last_read[i] > at]
        held |= {*added}
        step = Step(None, added, is_shared, [i for i in new if i not in added])
        steps.append(step)
        cost += bool(added) + COST_OF_JOINING * (len(added) > 1) + _count_operators(one, step)
        size = sum(len(one.parts[i]) for i in step.rest if i not in one.whole)
        macs = (size + width * is_shared) * one.constant.size
        cost += (macs + width * sum(len(one.parts[i]) for i in added)) / MACS_PER_OPERATOR
    return steps, served, cost


def _count_operators(one: Sum, step: Step) -> float:
    if len(step.rest) > MOST_DIRECT:
        return COST_OF_JOINING + 1 + step.is_shared
    whole = len(one.whole & {*step.rest})
    products = len(step.rest) - whole + step.is_shared
    # A product adds one thing to itself at no cost.
    others = whole + (one.has_constant and not step.is_shared)
    return products + max(others - 1, 0)


def _run(program: Program, rows: Sequence[Float[ArrayLike, "b _"]]) -> list[Array]:
    """The results of a program."""
    found, row, at = [jnp.concatenate(rows, axis=1)], _SharedRow(program), 0
    for operation in program.operations:
        operands = [row.find(found, at + i) for i in range(len(operation.operands))]
        at += len(operands)
        found.append(operation.function(*operands))
    return [row.find(found, i) for i in range(at, len(program.sums))]


def _is_same(a: Sum, b: Sum) -> bool:
    if a.parts.keys() != b.parts.keys() or not np.array_equal(a.constant, b.constant):
        return False
    return all(np.array_equal(a.parts[i], b.parts[i]) for i in a.parts)


class _SharedRow:
    """Makes a program's sums, in their order, with a row that many of them read."""

    def __init__(self, program: Program):
        self._sums, self._steps = program.sums, program.steps
        self._served = [program.sums[i] for i in program.served]
        ends = itertools.accumulate((one.constant.size for one in self._served), initial=0)
        self._columns = dict(zip(program.served, itertools.pairwise(ends), strict=False))
        self._row: Array | None = None
        self._sums_found: dict[int, Any] = {}

    def find(self, found: Sequence[Array], at: int) -> Any:
        """The sum at this place, of the results so far; a constant one as a numpy array."""
        again = self._steps[at].again
        if again is None:
            self._sums_found[at] = self._make(found, at)
        return self._sums_found[at if again is None else again]

    def _make(self, found: Sequence[Array], at: int) -> Any:
        one, step = self._sums[at], self._steps[at]
        if not one.parts:
            constant = one.constant.astype(np.float32)
            return constant[0] if (constant == constant[0]).all() else constant
        first, matrix = next(iter(one.parts.items()))
        if found[first].dtype == bool:
            return found[first] if found[first].shape[1] == 1 else found[first][:, matrix.argmax(0)]
        if step.added:
            self._add(found, step.added)
        rest = {i: one.parts[i] for i in step.rest}
        if not step.is_shared:
            return _add_up(found, rest, one.constant)
        assert self._row is not None, "what is shared was added first"
        picked = np.eye(self._row.shape[1], dtype=np.float32)[:, slice(*self._columns[at])]
        return _add_up(found, rest, self._row @ picked)

    def _add(self, found: Sequence[Array], added: list[int]) -> None:
        def block(i: int, one: Sum) -> Float[ndarray, "m n"]:
            return one.parts.get(i, np.zeros((found[i].shape[1], one.constant.size)))

        parts = {i: np.concatenate([block(i, one) for one in self._served], 1) for i in added}
        constant = np.concatenate([one.constant for one in self._served])
        self._row = _add_up(found, parts, constant if self._row is None else self._row)


def _add_up(found: Sequence[Array], parts: dict[int, ndarray], base: Any) -> Array:
    """A base and the products of results; what takes no product first, so that one has it."""
    if isinstance(base, ndarray):
        base = base.astype(np.float32)
    others = [base] if isinstance(base, jax.Array) or base.any() else []
    if len(parts) > MOST_DIRECT:
        row = jnp.concatenate([found[i] for i in parts], axis=1)
        products = [(row, np.concatenate([*parts.values()]))]
    else:
        is_whole = {i: _is_identity(matrix) for i, matrix in parts.items()}
        others = [found[i] for i in parts if is_whole[i]] + others
        products = [(found[i], matrix) for i, matrix in parts.items() if not is_whole[i]]
    total = others.pop(0) if others else None
    for row, matrix in products:
        product = row @ matrix.astype(np.float32)
        total = product if total is None else product + total
    for other in others:
        total = other if total is None else total + other
    assert total is not None, "a sum has something in it"
    return total


def _is_identity(matrix: ndarray) -> bool:
    return matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(len(matrix)))
