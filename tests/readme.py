"""What the README tells a new user to run, for CI and for the tests: `python tests/readme.py PART`.

PART is `commands` (of its section Start, a line each) or `example` (a program: its Python, with a
sample to predict from and a plan to compensate). CI has nothing but the standard library when it
asks.
"""

import re
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
SAMPLE = {"x": 100.0, "y": 50.0, "vx": 25.0, "vy": 10.0}  # mm and mm/s, as in the reference


def section(text: str, title: str) -> str:
    """What stands under a heading of the second level."""
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def commands(text: str) -> list[str]:
    """The shell lines of Start."""
    return re.findall(r"^    ((?:pip|just) .*)$", section(text, "Start"), re.MULTILINE)


def example(text: str, sample: dict[str, float]) -> str:
    """The Python of Start, after the names that it takes for given, and with its result printed."""
    found = re.findall(r"^```python\n(.*?)^```$", section(text, "Start"), re.MULTILINE | re.DOTALL)
    given = [f"{name} = {value!r}" for name, value in sample.items()]
    given.append("planned = [[x, y, 0.0, 0.0]] * 100  # at rest")
    return "\n".join([*given, *found, "print(error_x, error_y, len(commands))"])


def recipes(text: str) -> set[str]:
    """Every recipe of the justfile that is named in code."""
    return set(re.findall(r"(?:`|^    (?:.*&& )?)just ([a-z][a-z-]*)", text, re.MULTILINE))


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    print(example(text, SAMPLE) if sys.argv[1:] == ["example"] else "\n".join(commands(text)))
