"""What a person sees of many runs: tables of a sweep and of losses against sizes.

The same rows go to the terminal, through rich, and into a Markdown file. The module formats what
others computed.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from jaxcorr import files, plotting
from jaxcorr.cli.console import number, out, table
from jaxcorr.spec import SIZES
from jaxcorr.studies.loss_table import Cell, Figure, Job, Result
from jaxcorr.studies.sweep_spec import Sweep, Value
from jaxcorr.studies.trials import Trial

RESULTS = ("val MAE um", "val R2", "best epoch", "epochs", "parameters", "s", "state", "run")


def write_sweep(sweep: Sweep, trials: Sequence[Trial], folder: Path) -> list[Path]:
    """Writes the sweep's table and, once a trial has a result, its plot; returns the files."""
    columns, rows = _sweep_rows(sweep, trials)
    path = folder / "table.md"
    files.write_text(path, f"# {sweep.name}\n\n{markdown(columns, rows)}")
    judged = [trial for trial in trials if trial.mae_mm is not None]
    if not judged:
        return [path]
    values = {p.key: [trial.values[p.key] for trial in judged] for p in sweep.parameters}
    mae_um = np.array([1e3 * (trial.mae_mm or 0.0) for trial in judged])
    is_complete = np.array([trial.state == "complete" for trial in judged])
    plot_paths = [folder / "sweep.png", folder / "sweep.svg"]
    for plot_path in plot_paths:
        plotting.draw_sweep(values, mae_um, is_complete, plot_path)
    return [path, *plot_paths]


def show_sweep(sweep: Sweep, trials: Sequence[Trial], folder: Path, files: Sequence[Path]) -> None:
    """Prints the trials, best first, and what to do next."""
    columns, rows = _sweep_rows(sweep, trials)
    out.print(table("", columns, rows))
    ended = [trial for trial in trials if trial.state in ("complete", "pruned", "failed")]
    counts = ", ".join(
        f"{sum(trial.state == state for trial in trials)} {state}"
        for state in dict.fromkeys(trial.state for trial in trials)
    )
    out.print(f"{len(ended)} of {sweep.num_trials} trials have ended ({counts})")
    out.print(f"written: {', '.join(str(path) for path in files)}", markup=False)
    best = _best_first(trials)[0] if trials else None
    if best and best.mae_mm is not None:
        out.print(
            f"[bold]best: {_choices(sweep, best)}: {1e3 * best.mae_mm:.2f} um[/bold]\n"
            f"next: just eval {escape(shlex.quote(str(folder / (best.run or ''))))}"
        )


def trial_line(sweep: Sweep, trial: Trial) -> str:
    """One line on a trial that has ended."""
    head = f"trial {trial.number + 1}: {_choices(sweep, trial)}"
    if trial.mae_mm is None:
        return f"{head}: {trial.state}, {trial.reason}"
    return (
        f"{head}: val MAE {1e3 * trial.mae_mm:.2f} um, {trial.epochs} epochs, "
        f"{trial.seconds or 0.0:.0f} s, {trial.state}"
    )


def result_line(result: Result, count: int, total: int) -> str:
    """One line on a training of the table."""
    size, loss, seed = result.job
    return (
        f"{count} of {total}: {size} {loss} seed {seed}: test MAE {1e3 * result.mae_mm:.2f} um, "
        f"R2 {number(result.r2, 4)}, {result.seconds:.0f} s"
    )


def plain(value: Any) -> Any:
    """Named tuples as dictionaries, however deep, for JSON."""
    if isinstance(value, Trial | Cell | Figure | Result | Job):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def write_comparison(cells: Sequence[Cell], verdict: str, path: Path) -> None:
    """Writes the table of losses and sizes, and what it says."""
    columns, rows = _comparison_rows(cells)
    files.write_text(path, f"{markdown(columns, rows)}\n{verdict}\n")


def show_comparison(cells: Sequence[Cell], verdict: str) -> None:
    """Prints the table of losses and sizes, and what it says."""
    columns, rows = _comparison_rows(cells)
    out.print(table("", columns, rows))
    out.print(verdict)


def _comparison_rows(cells: Sequence[Cell]) -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            "{} ({}×{})".format(cell.size, *SIZES[cell.size]),
            cell.loss,
            _figure(cell.r2, 4, 1.0),
            _figure(cell.mae_mm, 2, 1e3),
            _figure(cell.correlation, 4, 1.0),
            f"{cell.num_parameters:,}",
            f"{cell.seconds:.0f}",
            str(cell.num_seeds),
        ]
        for cell in cells
    ]
    return ["model", "loss", "R2", "MAE um", "correlation", "parameters", "s", "seeds"], rows


def _figure(figure: Figure, digits: int, scale: float) -> str:
    if figure.mean is None:
        return "n/a"
    mean = f"{scale * figure.mean:.{digits}f}"
    return mean if figure.spread is None else f"{mean} ± {scale * figure.spread:.{digits}f}"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, first column left, the rest right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _sweep_rows(sweep: Sweep, trials: Sequence[Trial]) -> tuple[list[str], list[list[str]]]:
    names = [parameter.key for parameter in sweep.parameters]
    rows = [
        [
            str(trial.number + 1),
            *(_text(trial.values.get(name)) for name in names),
            "" if trial.mae_mm is None else f"{1e3 * trial.mae_mm:.2f}",
            "" if trial.mae_mm is None else number(trial.r2, 4),
            _text(trial.best_epoch),
            _text(trial.epochs),
            "" if trial.num_parameters is None else f"{trial.num_parameters:,}",
            "" if trial.seconds is None else f"{trial.seconds:.0f}",
            trial.state,
            trial.run or "",
        ]
        for trial in _best_first(trials)
    ]
    short = [name.rpartition(".")[2] for name in names]
    return ["#", *(short if len(set(short)) == len(short) else names), *RESULTS], rows


def _best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Complete trials by MAE, then pruned ones, then the rest."""
    order = {"complete": 0, "pruned": 1}
    return sorted(trials, key=lambda t: (order.get(t.state, 2), t.mae_mm or 0.0, t.number))


def _choices(sweep: Sweep, trial: Trial) -> str:
    return ", ".join(
        f"{parameter.key.rpartition('.')[2]} {_text(trial.values.get(parameter.key))}"
        for parameter in sweep.parameters
    )


def _text(value: Value | None) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
