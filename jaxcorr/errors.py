"""The one exception that a person is meant to read, and how texts of others are shown.

Names of files, parts and runs, comments in G-code and texts in .mat files may come from strangers.
"""

import re
import reprlib
import shutil
from pathlib import Path
from typing import Any

MOST_SHOWN = 80  # characters of a value that a message repeats
MOST_OF_LINE = 2_000  # of a message; names of files may be longer than any value that is shown
# What moves a cursor, colours a terminal or turns the order of letters round.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# All else means something to a shell, to C, MATLAB, HTML, Markdown or matplotlib.
NOT_PLAIN = re.compile(r"[^\w .,+:=@()/-]")


class InputError(ValueError):
    """A problem with something the user gave: a file, a key, a number, an argument.

    Its text is the whole message: `<where>: expected <rule>, got <value>. <what to do>.`
    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, text: str):
        super().__init__("\n".join(map(_bound, printable(text).split("\n"))))


def command(words: str) -> str:
    """A command as it is typed here: through `just` in a clone, where that is there."""
    is_clone = Path("justfile").is_file() and Path("jaxcorr").is_dir()
    return f"{'just' if is_clone and shutil.which('just') else 'jaxcorr'} {words}"


def printable(text: str) -> str:
    """A text in which control characters are written out, such as \\x1b."""
    return CONTROLS.sub(lambda match: repr(match[0])[1:-1], text)


def _bound(line: str) -> str:
    """A line of a message without its middle if it is too long: where and what to do are left."""
    half = MOST_OF_LINE // 2 - len("...")
    return line if len(line) <= MOST_OF_LINE else f"{line[:half]} ... {line[-half:]}"


def plain(name: str) -> str:
    """A name as it can stand in any text or code: whatever means something there becomes `_`."""
    return NOT_PLAIN.sub("_", name)


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
