"""What a person sees of the complete workflow: traces as they appear, and what was made where."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.markup import escape

from jaxcorr.cli import console

if TYPE_CHECKING:
    from jaxcorr.data.collect_octave import Counted
    from jaxcorr.studies.workflow import Product


def follow_files(counts: "Iterable[Counted]", title: str) -> None:
    """Shows how many files of a collection are there, until all are."""
    with console.counting_bar() as progress:
        task = progress.add_task(title, total=None)
        for count in counts:
            progress.update(task, completed=count.num_done, total=count.total)


def show_products(made: "Iterable[Product]") -> None:
    """Prints a row for each."""
    rows = [[escape(str(p.path)), p.what, f"{p.num_bytes / 1024:,.0f}"] for p in made]
    console.out.print(console.table("", ("made", "what", "KiB"), rows))
