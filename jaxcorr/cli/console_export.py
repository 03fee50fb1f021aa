"""What a person sees of an export: a line for each file, made with rich.

The module formats what `export.export` found.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape

from jaxcorr.cli import console


def show_export(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Prints the files with their difference from the predictor, and what checked them."""
    rows = [_row(name, entry) for name, entry in manifest["files"].items()]
    title = (
        f"{escape(str(folder))}: compared with the predictor over "
        f"{manifest['num_samples']:,} samples of {manifest['num_traces']} traces"
    )
    console.out.print(console.table(title, ("file", "KiB", "worst mm", "one call", "by"), rows))


def _row(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    worst, us_per_call = entry.get("worst_mm"), entry.get("us_per_call")
    return (
        name,
        f"{entry['num_bytes'] / 1024:,.0f}",
        "" if worst is None else f"{worst:.1e}",
        "" if us_per_call is None else f"{us_per_call:.1f} us",
        entry.get("checked_with", "written from the above"),
    )
