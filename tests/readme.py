"""What README and docs tell people to run, for CI and for the tests: `python tests/readme.py PART`.

PART is `commands` (a line each, of all shell blocks in the order of the pages), `example` (the
README's Python), `control` (that of the page on control) or `notebook` (its cells, with few
epochs). A shell block is fenced as `sh`; a comment `<!-- not run: REASON -->` before it says that
CI passes it over. CI has nothing but the standard library when it asks.
"""

import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
NOTEBOOK = ROOT / "docs" / "first_steps.ipynb"
BLOCK = re.compile(
    r"(?:^<!-- not run: ([^\n]+) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A fenced block of a page; `why_not_run` is empty where CI runs it."""

    page: str
    language: str
    text: str
    why_not_run: str

    @property
    def commands(self) -> list[str]:
        """Its lines, those joined that a backslash continues."""
        return [line for line in self.text.replace("\\\n", "").splitlines() if line.strip()]


def blocks(language: str, *pages: Path) -> list[Block]:
    """The blocks in one language, of all pages where none are given."""
    return [
        Block(page.name, language, text, why or "")
        for page in pages or PAGES
        for why, fenced, text in BLOCK.findall(page.read_text(encoding="utf-8"))
        if fenced == language
    ]


def commands(*pages: Path) -> list[str]:
    """The shell lines that CI runs."""
    return [
        line for block in blocks("sh", *pages) if not block.why_not_run for line in block.commands
    ]


def example(*pages: Path) -> str:
    """The Python of pages, one block after the other."""
    return "\n".join(block.text for block in blocks("python", *pages))


def notebook() -> str:
    """The notebook's cells as a program that trains for two epochs."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    return re.sub(r"^EPOCHS = \d+", "EPOCHS = 2", code, flags=re.MULTILINE)


def recipes(text: str) -> set[str]:
    """Every recipe of the justfile that is named in code."""
    return set(re.findall(r"(?:`|^(?:.*&& )?)just ([a-z][a-z-]*)", text, re.MULTILINE))


if __name__ == "__main__":
    wanted = {"commands": lambda: "\n".join(commands()), "example": lambda: example(README)}
    wanted |= {"notebook": notebook, "control": lambda: example(ROOT / "docs" / "control.md")}
    print(wanted[sys.argv[1]]())
