"""A hook of mkdocs: pages that are files elsewhere, README, CONTRIBUTING and the notebook.

It is an extension of griffe, too, which reads the docstrings of the API pages.
"""

import json
import re
from pathlib import Path
from textwrap import indent
from typing import Any

from griffe import Extension, Object
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
# What pages link to that is no page: shown as text.
BESIDE = ("LICENSE", "CITATION.cff", "specs/LOG.md")


class Sections(Extension):
    """Parts the sections of a docstring by the empty lines that griffe needs to see them.

    A table of formulas, set in by two blanks, becomes a block of code.
    """

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Changes what was read of a module, a class, a function or an attribute."""
        if obj.docstring:
            heads = r"(?<!\n)\n(?=(Args|Attributes|Raises|Returns|Yields):\n)"
            text = re.sub(heads, "\n\n", obj.docstring.value)
            block = r"(?<=\n\n)  \S.*(\n  .*)*"
            obj.docstring.value = re.sub(block, lambda found: indent(found[0], "  "), text)


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages."""
    notebook = json.loads((ROOT / "docs/first_steps.ipynb").read_text(encoding="utf-8"))
    made = {
        "index.md": (ROOT / "README.md").read_text(encoding="utf-8"),
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        "first_steps.md": "\n\n".join(map(_show_cell, notebook["cells"])),
    }
    for name, text in made.items():
        files.append(File.generated(config, name, content=_relink(text)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links of the docs that lead out of their folder lead to those pages."""
    return _relink(markdown)


def on_page_content(html: str, **_: Any) -> str:
    """An option is not cut behind its hyphens; a long name in a table is, behind its signs."""

    def mark(found: re.Match[str]) -> str:
        text = re.sub(r"(?<![\w-])--[\w-]+", r'<span class="option">\g<0></span>', found[2])
        return f"{found[1]}{text}{found[3]}"

    def cut(found: re.Match[str]) -> str:
        return re.sub(r"(?<=\w)[_./](?=\w)", r"\g<0><wbr>", found[0])

    def cell(found: re.Match[str]) -> str:
        return re.sub(r"(?<=<code>)[^<]+(?=</code>)", cut, found[0])

    html = re.sub(r"<td.*?</td>", cell, html, flags=re.DOTALL)
    return re.sub(r"(<code>)([^<]*--[^<]*)(</code>)", mark, html)


def _relink(text: str) -> str:
    for name in BESIDE:
        text = re.sub(rf"\[([^]]*)\]\((?:\.\./)?{re.escape(name)}\)", r"\1", text)
    text = text.replace("](../README.md", "](index.md").replace("](docs/", "](")
    text = text.replace("](../CONTRIBUTING.md", "](contributing.md")
    return text.replace("](CONTRIBUTING.md", "](contributing.md").replace(".ipynb)", ".md)")


def _show_cell(cell: dict[str, Any]) -> str:
    """A cell as Markdown, with what it printed and drew."""
    text = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return text
    shown = [f"```python\n{text}\n```"]
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "image/png" in data:
            shown.append(f"![What the cell draws](data:image/png;base64,{data['image/png']})")
        elif "text" in output:
            shown.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
    return "\n\n".join(shown)
