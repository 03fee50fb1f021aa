"""How far a long piece of work is, told to whoever listens: the terminal, or nobody."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")


class Progress(NamedTuple):
    """A phase of a work, and how much of it is done.

    Attributes:
        phase: what is done now, as a participle: "fitting the baselines"; empty for steps on the
            way through a piece.
        done: pieces of it that are finished.
        total: all of them; None where they are not counted.
        piece: name of the one that begins now; empty where a number says enough.
    """

    phase: str
    done: int = 0
    total: int | None = None
    piece: str = ""


_listener: ContextVar[Callable[[Progress], None] | None] = ContextVar("listener", default=None)


def begin(phase: str) -> None:
    """Tells that a phase begins which is not counted."""
    _tell(Progress(phase))


def count(
    items: Collection[Item], phase: str, name_fn: Callable[[Item], str] = lambda _: ""
) -> Iterator[Item]:
    """Yields the pieces of a phase, and tells before each how many are done.

    A caller that needs no more of them ends the phase by dropping the iterator.
    """
    try:
        for done, item in enumerate(items):
            _tell(Progress(phase, done, len(items), name_fn(item)))
            yield item
    finally:
        _tell(Progress(phase, len(items), len(items)))


@contextlib.contextmanager
def listening(listener: Callable[[Progress], None]) -> Iterator[None]:
    """Gives all that is told in this block, by this thread, to a listener."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def _tell(progress: Progress) -> None:
    listener = _listener.get()
    if listener is not None:
        listener(progress)
