"""The one exception that a person is meant to read, and how it shows what it was given."""

import reprlib
from typing import Any

MOST_SHOWN = 80  # characters of a value that a message repeats


class InputError(ValueError):
    """A problem with something the user gave: a file, a key, a number, an argument.

    Its text is the whole message: `<where>: expected <rule>, got <value>. <what to do>.`
    The command line prints it without a traceback and exits with code 2.
    """


def shorten(text: str, most: int = MOST_SHOWN) -> str:
    """A text in one line of at most so many characters, with dots for what was cut off."""
    line = " ".join(text[: 10 * most].split())
    return line if len(line) <= most and len(text) <= 10 * most else f"{line[:most]}..."


def show(value: Any) -> str:
    """A value of any type and size as Python would write it, cut to a line."""
    return shorten(_SHORT.repr(value))


class _Short(reprlib.Repr):
    """Bounds the work too: neither a long text nor a deep nest is written out to be cut."""

    def repr_str(self, x: str, level: int) -> str:
        del level
        return repr(x[: 2 * MOST_SHOWN])

    def repr_int(self, x: int, level: int) -> str:
        del level
        return repr(x) if x.bit_length() < 256 else f"an integer of {x.bit_length()} bits"


_SHORT = _Short()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 40
_SHORT.maxother = 2 * MOST_SHOWN
