"""The lexer of G-code: one line split into a command, its words and its comment.

What is misspelled raises a ValueError that says `expected <rule>, got <value>`; the caller adds the
file and the line.
"""

import re
from functools import reduce
from operator import xor

# A number has no exponent: in G-code the E of `X1E5` is the extruder. Digits are bounded, so that
# every number is finite.
NUMBER = r"[-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,60})?|\.[0-9]{1,60})"

_FLAGS = re.ASCII | re.IGNORECASE
_LINE_NUMBER = re.compile(r"\s*N\s*[-+]?[0-9]{1,10}(?![0-9.])\s*", _FLAGS)
_COMMAND = re.compile(
    r"\s*(?:([GMT])\s*0*([0-9]{1,5})(\.[0-9]{1,3})?(?![0-9.])|([A-Z_]{2}[A-Z0-9_]{0,62})(?![A-Z0-9_]))",
    _FLAGS,
)
_WORD = re.compile(rf"\s*([A-Z])\s*({NUMBER}(?![0-9.]))?", _FLAGS)
_PARENTHESES = re.compile(r"\([^()]*\)")
# Commands whose argument is a file's name, a message or an object's name, and macros.
_FREE_TEXT = re.compile(r"M0*(?:16|23|28|30|32|117|118|486|928)(?![0-9])|[A-Z_]{2}", _FLAGS)


def split_line(line: str) -> tuple[str, str, str]:
    """Splits a line into command, arguments and comment.

    Args:
        line: One line, without its end. A line number and a checksum may be present.

    Returns:
        The command in one spelling (`g01` is "G1"; a macro's name in capitals; "" where the line
        has none), the text of its arguments, and the text after `;`.

    Raises:
        ValueError: The line does not start with a command, or its checksum is wrong.
    """
    code, _, comment = line.partition(";")
    code = code.strip()
    numbered = _LINE_NUMBER.match(code)
    if "*" in code and (numbered or not _FREE_TEXT.match(code)):
        code = _without_checksum(code)
    code = code[numbered.end() :] if numbered else code
    if "(" in code and not _FREE_TEXT.match(code):
        code = _PARENTHESES.sub(" ", code)
    match = _COMMAND.match(code)
    if match is None:
        if code.strip():
            raise ValueError(f"expected a command such as G1, got {quote(code)}")
        return "", "", comment
    letter, digits, sub, macro = match.groups()
    command = macro.upper() if macro else f"{letter.upper()}{digits}{sub or ''}"
    return command, code[match.end() :], comment


def parse_words(arguments: str, allowed: str, *, need_numbers: bool = True) -> dict[str, float]:
    """Reads words such as `X10 Y-.5` into a dictionary from letter to value.

    Args:
        arguments: The text after the command.
        allowed: The letters that may occur; "" allows all.
        need_numbers: Whether a letter without a number is refused; it reads as 0 otherwise.

    Raises:
        ValueError: A word is malformed, repeated or not allowed.
    """
    words: dict[str, float] = {}
    at, end = 0, len(arguments.rstrip())
    while at < end:
        match = _WORD.match(arguments, at, end)
        if match is None:
            raise ValueError(f"expected a word such as X10, got {quote(arguments[at:end])}")
        letter, number = match[1].upper(), match[2]
        if allowed and letter not in allowed:
            raise ValueError(f"expected only words of {' '.join(allowed)}, got {letter}")
        if letter in words:
            raise ValueError(f"expected {letter} once, got it twice")
        if number is None and need_numbers:
            found = quote(arguments[match.end() : end])
            raise ValueError(f"expected a number after {letter}, got {found}")
        words[letter] = 0.0 if number is None else float(number)
        at = match.end()
    return words


def quote(text: str, limit: int = 60) -> str:
    """The text in quotes, shortened, on one line, fit for a message."""
    text = " ".join(text[: 4 * limit].split())
    shown = text if len(text) <= limit else text[: limit - 3] + "..."
    return "'" + "".join(c if c.isprintable() else "?" for c in shown) + "'"


def _without_checksum(code: str) -> str:
    """The code before `*`, after the sum has been verified; unchanged where there is none."""
    body, star, digits = code.rpartition("*")
    if not star:
        return code
    if not re.fullmatch(r"[0-9]{1,3}\s*", digits, re.ASCII):
        raise ValueError(f"expected a checksum of 1 to 3 digits after *, got {quote(digits)}")
    computed = reduce(xor, body.encode("utf-8", "surrogatepass"), 0)
    if computed != int(digits):
        raise ValueError(f"expected checksum {computed}, got {int(digits)}")
    return body
