"""The lexer of G-code: one line split into a command, its words and its comment.

Words of a move that are misspelled raise a ValueError that says `expected <rule>, got <value>`; the
caller adds the file and the line. A setting is read as far as it can be read, as firmwares do.
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
# F without a readable number, as slicers write it after a division by zero: `F-nan(ind)`, `Finf`.
_BAD_FEEDRATE = re.compile(
    rf"(?<![A-Z])F[ \t]*(?!{NUMBER}(?![0-9.#]))[-+0-9.#]{{0,40}}"
    r"(?:nan|inf(?:inity)?|[qs]nan|ind)?(?:\([a-z]{0,9}\))?[0-9]{0,20}",
    _FLAGS,
)
_SETTING = re.compile(rf"([A-Z])[ \t]*({NUMBER})(?![0-9.])", _FLAGS)
_KEYWORD = re.compile(rf"([A-Z_]{{1,40}})[ \t]*=[ \t]*({NUMBER})(?![0-9.A-Z])", _FLAGS)
# Commands whose argument is a file's name, a message or an object's name, and macros.
_FREE_TEXT = re.compile(r"M0*(?:16|23|28|30|32|117|118|486|928)(?![0-9])|[A-Z_]{2}", _FLAGS)

# The form of nearly every line. Four digits before the point keep coordinates within bounds, nine
# after it on the grid of 1e-9 mm, and F cannot be 0; whatever looks different takes the slow way.
_C = r"(-?(?:[0-9]{1,4}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}))"
_F = r"([1-9][0-9]{0,6}(?:\.[0-9]{0,9})?)"
PLAIN_MOVE = re.compile(
    rf"G[01](?: F{_F})?(?: X{_C})?(?: Y{_C})?(?: Z{_C})?(?: E{_C})?(?(1)|(?: F{_F})?) ?"
).fullmatch


def split_line(line: str) -> tuple[str, str, str]:
    """Splits a line into command, arguments and comment.

    Args:
        line: One line, without its end. A line number and a checksum may be present.

    Returns:
        The command in one spelling (`g01` is "G1"; a macro's name in capitals; "" where the line
        does not start with one), the text of its arguments (of the whole line without a command),
        and the text after `;`.

    Raises:
        ValueError: The checksum of a numbered line is wrong.
    """
    code, _, comment = line.partition(";")
    code = code.strip()
    numbered = _LINE_NUMBER.match(code)
    if numbered:
        code = _without_checksum(code)[numbered.end() :]
    if "(" in code and not _FREE_TEXT.match(code):
        code = _PARENTHESES.sub(" ", code)
    if "*" in code and not _FREE_TEXT.match(code):
        code = code.partition("*")[0]  # without a line number it is no checksum
    match = _COMMAND.match(code)
    if match is None:
        return "", code.strip(), comment
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


def without_bad_feedrate(arguments: str) -> str:
    """The arguments of a move without an F that has no readable number; that changes nothing."""
    return _BAD_FEEDRATE.sub(" ", arguments)


def parse_settings(arguments: str) -> dict[str, float]:
    """The words of a setting that have a number; the rest is passed over, the last value counts.

    Of a list such as `E1500:1500`, one value for each extruder, the first is taken.
    """
    return {letter.upper(): float(number) for letter, number in _SETTING.findall(arguments)}


def parse_keywords(arguments: str) -> dict[str, float]:
    """The numbers of a macro's arguments such as `ACCEL=3000 VELOCITY=200`; the rest is left."""
    return {name.upper(): float(number) for name, number in _KEYWORD.findall(arguments)}


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
