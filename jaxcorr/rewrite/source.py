"""The text of a file of G-code, line by line with its line ends, and what cannot be rewritten.

Lines are counted as the reader counts them (printer/gcode.py), and every byte comes through.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from jaxcorr.errors import InputError
from jaxcorr.printer.lexer import parse_settings, quote

MARKER = "; corrected by jaxcorr"
# What stands in a line that needs a look; nearly all lines are moves, and have none of it.
_NOTABLE = re.compile(
    rf"\s*(?:{MARKER}|N[0-9]|G0*(?:20|9[01])\b|M0*200\b)", re.ASCII | re.IGNORECASE
)
_RELATIVE, _ABSOLUTE = re.compile(r"\s*G0*91\b", re.I), re.compile(r"\s*G0*90\b", re.I)


class Survey(NamedTuple):
    """What a file's text says beside its moves.

    Attributes:
        relative: lines in which positions are relative (G91), as (first, behind the last).
    """

    relative: tuple[tuple[int, int], ...]


@contextlib.contextmanager
def open_lines(path: Path) -> Iterator[TextIO]:
    """Opens a text so that its lines keep their ends, and any bytes survive."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        yield stream


def write_lines(
    source: Path, out: Path, change_fn: Callable[[Iterable[str]], Iterable[str]]
) -> None:
    """Writes what becomes of the lines of a text."""
    with (
        open_lines(source) as stream,
        out.open("w", encoding="utf-8", errors="surrogateescape", newline="") as written,
    ):
        written.writelines(change_fn(stream))


def ending(line: str) -> str:
    """The line's end: CRLF, LF, CR, or nothing at the end of a file."""
    return line[len(line.rstrip("\r\n")) :]


def marked(line: str, end: str, marker: str) -> str:
    """What stands behind a file's first line: the marker, on a line of its own."""
    return ("" if ending(line) else end) + marker + end


def survey(path: Path, name: str) -> Survey:
    """Looks through a text for what cannot be rewritten.

    Args:
        path: of plain text.
        name: what messages call it.

    Raises:
        InputError: it was rewritten already, numbers its lines, is in inches, or counts E in cubic
            millimetres.
    """
    relative: list[tuple[int, int]] = []
    since, number = 0, 0
    with open_lines(path) as stream:
        for number, line in enumerate(stream, 1):
            if not _NOTABLE.match(line):
                continue
            if line.startswith(MARKER):
                raise InputError(
                    f"{name}:{number}: expected a file as the slicer writes it, got one that "
                    "jaxcorr has corrected already. Take the original."
                )
            if re.match(r"\s*N[0-9]", line, re.I):
                raise InputError(
                    f"{name}:{number}: expected lines without numbers and checksums, got "
                    f"{quote(line)}. Take the file as the slicer writes it."
                )
            if re.match(r"\s*M0*200\b", line, re.I) and parse_settings(line.strip()[4:]).get("D"):
                raise InputError(
                    f"{name}:{number}: expected E in mm of filament, got volumetric extrusion in "
                    f"{quote(line)}. Switch it off in the slicer."
                )
            if re.match(r"\s*G0*20\b", line, re.I):
                raise InputError(
                    f"{name}:{number}: expected millimetres, got inches in {quote(line)}. Slice "
                    "the part in millimetres."
                )
            if _RELATIVE.match(line) and not since:
                since = number
            elif _ABSOLUTE.match(line) and since:
                relative.append((since, number))
                since = 0
    if since:
        relative.append((since, number + 1))
    return Survey(tuple(relative))
