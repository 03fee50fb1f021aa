"""What a person sees in the terminal: progress, tables and verdicts, made with rich.

Progress goes to stderr, results to stdout. The module formats what others computed, and loads none
of them: a list of runs should not wait for jax.
"""

import dataclasses
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from jaxcorr.data import inspection
    from jaxcorr.data.collect import Collected
    from jaxcorr.training import run_folder
    from jaxcorr.training.loop import Begun, EpochDone, Event, Finished

# A pipe or a file has no width of its own; tables there should not be folded to a terminal's.
PIPE_WIDTH = 1000

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(
    stderr=True, highlight=False, soft_wrap=True, width=None if sys.stderr.isatty() else PIPE_WIDTH
)


@dataclasses.dataclass(frozen=True)
class Columns:
    """A plain table, first column left, the rest right, that cuts nothing.

    Where the terminal is too narrow, it goes on below with further columns, as the first repeats.
    """

    title: str
    names: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[Table]:
        columns = zip(self.names, *self.rows, strict=True)
        widths = [max(Text.from_markup(cell).cell_len for cell in column) for column in columns]
        for place, chosen in enumerate(_groups(widths, options.max_width)):
            yield self._part(chosen, "" if place else self.title)

    def _part(self, chosen: Sequence[int], title: str) -> Table:
        made = Table(
            title=title or None,
            title_justify="left",
            box=None,
            pad_edge=False,
            header_style="bold",
        )
        for i in chosen:
            made.add_column(
                self.names[i],
                justify="right" if i else "left",
                overflow="fold",
                no_wrap=i > 0,
            )
        for row in self.rows:
            made.add_row(*(row[i] for i in chosen))
        return made


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
    return Columns(title, columns, list(rows))


def follow_training(
    events: "Iterable[Event]", epochs: int, samples_per_dispatch: int
) -> "Finished":
    """Shows a training as it goes; returns how it ended.

    Args:
        events: of `train.fit`.
        epochs: at most this many.
        samples_per_dispatch: targets that one dispatch learns from, for the rate.
    """
    from jaxcorr.training.loop import Begun, Dispatched, EpochDone, Finished

    is_narrow = err.width < 80  # what is left over should be the time that remains
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=8 if is_narrow else 24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[live]}"),
        TimeRemainingColumn(),
    )
    # On a terminal the bar is redrawn in place; in a file or a pipe only the epoch lines appear.
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("training", total=None, live="compiling")
        plan = None
        for event in events:
            match event:
                case Begun():
                    plan = event.plan
                    done = event.epoch * plan.dispatches
                    progress.update(task, total=epochs * plan.dispatches, completed=done)
                    _say_begun(event)
                case Dispatched():
                    assert plan is not None
                    done = event.epoch * plan.dispatches + event.dispatch + 1
                    rate = samples_per_dispatch * (progress.tasks[task].speed or 0.0)
                    live = f"loss {event.loss:.4f}  MAE {1e3 * event.mae_mm:.1f} um"
                    live += "" if is_narrow else f"  {rate:,.0f}/s"
                    progress.update(task, completed=done, live=live)
                case EpochDone():
                    err.print(_epoch_line(event, epochs))
                case Finished():
                    return event
    raise AssertionError("a training ends with Finished")


def _say_begun(event: "Begun") -> None:
    for name in event.skipped:
        err.print(
            f"[yellow]checkpoint {escape(name)} is damaged; going on from the one before[/yellow]"
        )
    verb = f"resuming after epoch {event.epoch}" if event.epoch else "training"
    err.print(
        f"{verb}: {event.num_parameters:,} parameters, {event.plan.num_windows:,} windows, "
        f"{event.plan.steps_per_epoch} steps an epoch, {_count(event.num_devices, 'device')}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _epoch_line(event: "EpochDone", epochs: int) -> str:
    record = event.record
    text = (
        f"epoch {record['epoch']:>3}/{epochs}  train loss {record['train_loss']:.4f}  "
        f"MAE {1e3 * record['train_mae_mm']:6.2f} um"
    )
    if "val_mae_mm" in record:
        text += f"  val MAE {1e3 * record['val_mae_mm']:6.2f} um  R2 {number(record['val_r2'], 4)}"
    return f"{text}  {event.seconds:5.1f} s{'  best' if event.is_best else ''}"


def number(value: float | None, digits: int) -> str:
    """A fixed-point number, or `n/a` where it is undefined."""
    return "n/a" if value is None else f"{value:.{digits}f}"


def show_inspection(rows: "Sequence[inspection.Row]") -> None:
    """Prints a row a trace file, then the problems, then the verdict on all of them."""
    columns = (
        "file",
        "samples",
        "s",
        "Hz",
        "x mm",
        "y mm",
        "peak mm/s",
        "RMS x um",
        "RMS y um",
        "",
    )
    out.print(table("", columns, [_inspection_row(row) for row in rows]))
    problems = [row for row in rows if row.problem]
    for row in problems:
        out.print(f"[red]{escape(row.problem or '')}[/red]")
    total = sum(row.num_samples or 0 for row in rows if not row.problem)
    good = f"{len(rows) - len(problems)} of {len(rows)}"
    out.print(f"[bold]{good} files can be trained on, {total:,} samples[/bold]")


def _inspection_row(row: "inspection.Row") -> list[str]:
    name = escape("/".join(Path(row.path).parts[-2:]))
    if row.num_samples is None:
        return [name, *("",) * 8, "[red]unreadable[/red]"]
    ranges = [
        "n/a" if bounds is None else f"{bounds[0]:.0f}..{bounds[1]:.0f}"
        for bounds in (row.x_range_mm, row.y_range_mm)
    ]
    return [
        name,
        f"{row.num_samples:,}",
        number(row.duration_s, 1),
        number(row.sample_rate_hz, 2),
        *ranges,
        number(row.peak_speed_mm_s, 1),
        number(row.rms_x_um, 1),
        number(row.rms_y_um, 1),
        "[red]refused[/red]" if row.problem else "[green]ok[/green]",
    ]


def show_runs(rows: "Sequence[run_folder.Row]") -> None:
    """Prints a row a run."""
    columns = ("run", "state", "age", "epochs", "val MAE um", "test MAE um", "test R2")
    body = [
        [
            escape(row.id),
            row.state,
            "" if row.age_s is None else _age(row.age_s),
            str(row.epochs),
            "" if row.val_mae_mm is None else f"{1e3 * row.val_mae_mm:.2f}",
            "" if row.test_mae_mm is None else f"{1e3 * row.test_mae_mm:.2f}",
            "" if row.test_r2 is None else f"{row.test_r2:.4f}",
        ]
        for row in rows
    ]
    hint = "no runs yet; make one with: just train specs/medium_hybrid.toml"
    out.print(table("", columns, body) if body else hint)


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def show_plan(result: dict[str, Any], first_layer: int) -> None:
    """Prints the planned times: in all, and of each layer."""
    rows = [[str(first_layer + i), f"{s:.2f}"] for i, s in enumerate(result["layers"])]
    out.print(table("", ("layer", "s"), rows))
    out.print(
        f"[bold]{result['total_s']:.3f} s[/bold] ({_clock(result['total_s'])}) for "
        f"{result['num_moves']:,} moves, peak velocity {result['peak_velocity_mm_s']:.1f} mm/s"
    )
    if result["unknown_commands"]:
        listed = ", ".join(f"{name} ({n})" for name, n in result["unknown_commands"].items())
        out.print(f"unknown commands, passed over: {escape(listed)}")


def counting_bar() -> Progress:
    """How many of how many, on a terminal; gone when it is left, and nothing in a pipe."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def follow_collection(made: "Iterable[Collected]", part: str) -> "list[Collected]":
    """Shows a simulation as it goes; returns its files."""
    files: list[Collected] = []
    with counting_bar() as progress:
        task = progress.add_task(f"simulating {escape(part)}", total=None)
        for file in made:
            files.append(file)
            progress.update(task, total=file.total, completed=len(files))
    kept = sum(not file.is_new for file in files)
    if kept:
        err.print(f"{escape(part)}: {kept} of {len(files)} layers were there already")
    return files


def show_collection(files: "Sequence[Collected]", seconds: float, problems: Sequence[str]) -> None:
    """Prints a row a folder: layers, samples, RMS by source; then the verdict."""
    folders: dict[Path, list[Collected]] = {}
    for file in files:
        folders.setdefault(file.path.parent, []).append(file)
    sources = list(files[0].rms_um) if files else []
    rows = [
        [
            escape(str(folder)),
            str(len(members)),
            f"{sum(m.num_samples for m in members):,}",
            *(f"{_joint_rms(members, source):.1f}" for source in sources),
        ]
        for folder, members in folders.items()
    ]
    out.print(table("RMS in um, by source", ("folder", "layers", "samples", *sources), rows))
    total = sum(file.num_samples for file in files)
    out.print(f"{len(files)} layers, {total:,} samples, {seconds:.1f} s")
    for problem in problems:
        out.print(f"[red]{escape(problem)}[/red]")
    verdict = f"{len(problems)} problems" if problems else "fit to train on"
    out.print(f"[bold]data quality: {verdict}[/bold]")


def _joint_rms(files: "Sequence[Collected]", source: str) -> float:
    """RMS over the samples of several files."""
    power = sum(file.num_samples * file.rms_um[source] ** 2 for file in files)
    return math.sqrt(power / sum(file.num_samples for file in files))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min {rest:02d} s"
