"""Terminal output that several commands share: tables, numbers and progress, made with rich.

Progress goes to stderr, results to stdout.
"""

import dataclasses
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from jaxcorr import files, progress, units
from jaxcorr.errors import InputError, command, printable

if TYPE_CHECKING:
    from jaxcorr.data.collect import Collected
    from jaxcorr.printer.gcode import PassedOver

# A pipe or a file has no width of its own; tables there should not be folded to a terminal's.
PIPE_WIDTH = 1000


class _Console(Console):
    """A console to which no text of somebody else's can send commands."""

    def print(self, *objects: Any, **options: Any) -> None:
        texts = [printable(each) if isinstance(each, str) else each for each in objects]
        super().print(*texts, **options)


def _console(is_terminal: bool, is_err: bool) -> Console:
    """Lines wrap between words where there is a width to wrap at, and nowhere else."""
    width = None if is_terminal else PIPE_WIDTH
    return _Console(stderr=is_err, highlight=False, soft_wrap=not is_terminal, width=width)


out = _console(sys.stdout.isatty(), is_err=False)
err = _console(sys.stderr.isatty(), is_err=True)


@dataclasses.dataclass(frozen=True)
class Columns:
    """A plain table, first column left, the rest right, that cuts nothing.

    Where the terminal is too narrow, the first column has half of it, its names go on in the next
    line, and the table goes on below with further columns beside the same names, of the rows that
    have anything there.
    """

    title: str
    names: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __rich_console__(
        self, _console: Console, options: ConsoleOptions
    ) -> Iterator[Table | Text]:
        columns = zip(self.names, *self.rows, strict=True)
        widths = [max(Text.from_markup(cell).cell_len for cell in column) for column in columns]
        if sum(widths) + 2 * (len(widths) - 1) > options.max_width:
            widths[0] = min(widths[0], options.max_width // 2)
        if self.title:
            yield Text.from_markup(self.title, style="italic")
        for chosen in _groups(widths, options.max_width):
            yield self._part(chosen, widths[0])

    def _part(self, chosen: Sequence[int], most: int) -> Table:
        made = Table(box=None, pad_edge=False, header_style="bold")
        for i in chosen:
            made.add_column(
                self.names[i],
                justify="right" if i else "left",
                overflow="fold",
                no_wrap=i > 0,
            )
        is_first = chosen[1:2] in ([], [1])
        for row in self.rows:
            if is_first or any(row[i] for i in chosen[1:]):
                made.add_row(*(row[i] if i else _broken(row[i], most) for i in chosen))
        return made


def _broken(cell: str, most: int) -> Text:
    """A name in lines of so many letters, which end between its words where they can."""
    text, ends, begin, behind = Text.from_markup(cell), [], 0, 0
    for i, letter in enumerate(text.plain):
        if i - begin == most:
            begin = behind if behind > begin else i
            ends.append(begin)
        if letter in " /_-":
            behind = i + 1
    return Text("\n").join(text.divide(ends))


def _groups(widths: Sequence[int], most: int) -> list[list[int]]:
    """Which columns stand together: the first with as many of the rest as fit, again and again."""
    groups = [[0]]
    for i in range(1, len(widths)):
        # Two blanks are between columns; one column beside the first has to do at any width.
        wide = sum(widths[j] + 2 for j in groups[-1]) + widths[i]
        if wide > most and len(groups[-1]) > 1:
            groups.append([0])
        groups[-1].append(i)
    return groups


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Columns:
    """A plain table with a title, which may be empty; cells may have markup."""
    return Columns(title, columns, [[printable(cell) for cell in row] for row in rows])


def show_next(words: str) -> None:
    """Prints a command to go on with; it is to be copied, so the terminal breaks it and not we."""
    out.print(f"next: {command(words)}", markup=False, soft_wrap=True)


def number(value: float | None, digits: int) -> str:
    """A fixed-point number, or `n/a` where it is undefined."""
    return "n/a" if value is None else f"{value:.{digits}f}"


def show_passed_over(passed_over: "Sequence[PassedOver]", most: int = 9) -> None:
    """Prints what of a file was not executed as written: a line a kind, at most ten lines."""
    if not passed_over:
        return
    total = sum(one.num_lines for one in passed_over)
    hint = "; see --verbose" if most == 1 else ""
    out.print(f"passed over or done otherwise: {total} lines{hint}", markup=False, highlight=False)
    kept = passed_over if len(passed_over) <= most else passed_over[: most - 1]
    if not kept:
        return
    for one in kept:
        lines = ", ".join(map(str, one.lines)) + (", ..." if one.num_lines > len(one.lines) else "")
        where = f"{one.num_lines} times, lines {lines}" if one.num_lines > 1 else f"line {lines}"
        out.print(f"  {one.reason} {one.text} ({where})", markup=False, highlight=False)
    if len(kept) < len(passed_over):
        rest = passed_over[len(kept) :]
        text = (
            f"  and {len(rest)} more kinds, {sum(one.num_lines for one in rest)} lines; see --json"
        )
        out.print(text, markup=False, highlight=False)


def prepare_out(run: Path, out_folder: Path | None) -> Path:
    """Where a command writes what belongs to a run; of what killed ones left there, nothing stays.

    Raises:
        InputError: the folder cannot be written.
    """
    place = run if out_folder is None else out_folder
    try:
        place.mkdir(parents=True, exist_ok=True)
        files.check_folder(place)
    except OSError as error:
        raise InputError(
            f"{place}: expected a folder that can be written, got '{error.strerror}'. Make room, "
            "mend its permissions, or choose another folder with --out."
        ) from None
    for folder in (place, *filter(Path.is_dir, place.iterdir())):
        files.remove_leftovers(folder)
    return place


def say_skipped(text: str) -> None:
    """Prints which checkpoints could not be used, and which one is taken instead."""
    if text:
        err.print(f"[yellow]newest checkpoint not used: {escape(text)}[/yellow]")


def counting_bar() -> Progress:
    """How many of how many, on a terminal; gone when it is left, and nothing in a pipe."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


class Phases:
    """Shows what `progress` tells: a line a phase, with the seconds since the command began.

    A piece with a name has a line too, with the time left. Pieces without one are, on a terminal, a
    bar that goes away at its end.
    """

    def __init__(self) -> None:
        self._began = self._phase_began = time.perf_counter()
        self._phase = ""
        self._bar: Progress | None = None

    def __call__(self, told: progress.Progress) -> None:
        now = time.perf_counter()
        if told.phase and told.phase != self._phase:
            self._close()
            self._phase, self._phase_began = told.phase, now
            self._print(told.phase)
        if told.piece:
            spent = now - self._phase_began
            left = spent / told.done * ((told.total or 0) - told.done) if told.done else None
            rest = f", {duration(left)} left" if left else ""
            self._print(f"{told.done + 1} of {told.total}: {told.piece}{rest}")
        elif told.total and err.is_terminal:
            self._move_bar(told.done, told.total)

    def _print(self, text: str) -> None:
        err.print(f"{time.perf_counter() - self._began:4.0f} s  {text}", markup=False)

    def _move_bar(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = counting_bar()
            self._bar.add_task("", total=total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done)
        if done == total:
            self._close()

    def _close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def duration(seconds: float) -> str:
    """A time to wait, in words."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"about {max(1, round(seconds))} s"
    return f"about {minutes} min" if minutes < 120 else f"about {minutes / 60:.1f} h"


phases = Phases()


def follow_collection(made: "Iterable[Collected]", part: str) -> "list[Collected]":
    """Shows a simulation as it goes; returns its files."""
    made_files: list[Collected] = []
    with counting_bar() as progress:
        task = progress.add_task(f"simulating {escape(part)}", total=None)
        for file in made:
            made_files.append(file)
            progress.update(task, total=file.total, completed=len(made_files))
    kept = sum(not file.is_new for file in made_files)
    if kept:
        traces = units.count(len(made_files), "trace")
        err.print(f"{escape(part)}: {kept} of {traces} there already")
    return made_files
