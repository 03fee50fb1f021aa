"""Table of losses against network sizes: each trained with several seeds, and how far these differ.

Every cell is trained with every seed and evaluated on the test split.
"""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from jaxcorr import metrics
from jaxcorr.errors import InputError
from jaxcorr.models import network
from jaxcorr.spec import SIZES
from jaxcorr.studies.sweep_spec import override
from jaxcorr.training import restore
from jaxcorr.training.run_folder import Run

LOSSES = ("mae", "mse", "hybrid")


class Job(NamedTuple):
    """One training of the table."""

    size: str
    loss: str
    seed: int


class Result(NamedTuple):
    """What one training reached on the test split."""

    job: Job
    r2: float | None
    mae_mm: float
    correlation: float | None
    num_parameters: int
    seconds: float
    run: str


class Figure(NamedTuple):
    """Mean over seeds, and their standard deviation: None with one seed, or where undefined."""

    mean: float | None
    spread: float | None


class Cell(NamedTuple):
    """One row of the table."""

    size: str
    loss: str
    num_seeds: int
    r2: Figure
    mae_mm: Figure
    correlation: Figure
    num_parameters: int
    seconds: float  # of one training, on average


def plan_jobs(losses: Sequence[str], sizes: Sequence[str], num_seeds: int) -> list[Job]:
    """All trainings, seed by seed, so that an early end leaves whole columns.

    Raises:
        InputError: a loss or a size is unknown.
    """
    for option, given, known in (("--losses", losses, LOSSES), ("--sizes", sizes, tuple(SIZES))):
        unknown = [name for name in given if name not in known]
        if unknown or not given:
            raise InputError(
                f"{option}: expected some of {','.join(known)}, got '{','.join(given)}'. "
                "Separate them by commas."
            )
    return [
        Job(size, loss, seed)
        for seed in range(num_seeds)
        for size in dict.fromkeys(sizes)
        for loss in dict.fromkeys(losses)
    ]


def changes(job: Job) -> list[str]:
    """The texts that make a spec one training of the table."""
    hidden_size, num_layers = SIZES[job.size]
    return [
        override("loss.name", job.loss),
        override("model.hidden_size", hidden_size),
        override("model.num_layers", num_layers),
        override("train.seed", job.seed),
        override("train.name", f"{job.size}-{job.loss}-seed{job.seed}"),
    ]


def outcome(job: Job, run: Run) -> Result:
    """What a training of the table reached on the test split."""
    overall = metrics.read(run.path / metrics.FILE).test.overall
    return Result(
        job=job,
        r2=overall.r2,
        mae_mm=overall.mae_mm,
        correlation=overall.correlation,
        num_parameters=network.count_parameters(restore.load_weights(run).weights.network),
        seconds=sum(row["seconds"] for row in run.read_timings()),
        run=run.id,
    )


def summarize(results: Sequence[Result]) -> list[Cell]:
    """A cell for each loss and size, in the order of the results."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.job.size, result.job.loss), []).append(result)
    return [
        Cell(
            size=size,
            loss=loss,
            num_seeds=len(members),
            r2=_figure([m.r2 for m in members]),
            mae_mm=_figure([m.mae_mm for m in members]),
            correlation=_figure([m.correlation for m in members]),
            num_parameters=members[0].num_parameters,
            seconds=statistics.fmean(m.seconds for m in members),
        )
        for (size, loss), members in groups.items()
    ]


def compare_losses(cells: Sequence[Cell]) -> str:
    """One sentence: whether hybrid beats the other losses by more than seeds differ.

    A difference counts where mean ± standard deviation of the two do not overlap.
    """
    others = [name for name in LOSSES if name != "hybrid" and any(c.loss == name for c in cells)]
    if not others or not any(cell.loss == "hybrid" for cell in cells):
        return "The table lacks hybrid, or a loss to compare it with, so it shows no gain or loss."
    if any(cell.num_seeds < 2 for cell in cells):
        return "One seed shows no spread, so no difference between losses can be told from chance."
    clauses, better, total = [], 0, 0
    for other in others:
        counts = []
        for field, label, sign in (("mae_mm", "MAE", -1), ("r2", "R2", 1)):
            signs = [_compare(pair, field, sign) for pair in _pairs(cells, other)]
            better, total = better + signs.count(1), total + len(signs)
            counts.append(f"{label} better in {signs.count(1)} and worse in {signs.count(-1)}")
        num_sizes = len(_pairs(cells, other))
        clauses.append(f"against {other}, {', '.join(counts)} of {num_sizes} sizes")
    verdict = "beats" if better == total else "does not beat" if not better else "in part beats"
    return (
        f"Hybrid {verdict} {' and '.join(others)} beyond the seed spread (mean ± standard "
        f"deviation apart): {'; '.join(clauses)}."
    )


def _figure(values: Sequence[float | None]) -> Figure:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Figure(None, None)
    return Figure(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None)


def _pairs(cells: Sequence[Cell], other: str) -> list[tuple[Cell, Cell]]:
    """Hybrid and another loss, of each size that has both."""
    by_key = {(cell.size, cell.loss): cell for cell in cells}
    pairs = [(by_key.get((s, "hybrid")), by_key.get((s, other))) for s in SIZES]
    return [(ours, theirs) for ours, theirs in pairs if ours and theirs]


def _compare(pair: tuple[Cell, Cell], field: str, sign: int) -> int:
    """1 where hybrid is better by more than both spreads, -1 where worse, else 0."""
    ours, theirs = (getattr(cell, field) for cell in pair)
    if None in (*ours, *theirs):
        return 0
    gain = sign * (ours.mean - theirs.mean)
    return 0 if abs(gain) <= ours.spread + theirs.spread else 1 if gain > 0 else -1
