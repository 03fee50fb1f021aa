"""What `jaxcorr demo-control` shows: misses, jitter, a histogram in text, and the honest truth."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from jaxcorr.cli.console import out, table
from jaxcorr.compensation import naive
from jaxcorr.deploy.status import Status

BAR = 40  # characters


def show_loop(found: Mapping[str, Any], status: Status) -> None:
    """Prints how a paced loop went."""
    rows = [
        [name, *(f"{found[key][f'{p}_us']:.1f}" for p in ("p50", "p90", "p99", "p99_9", "max"))]
        for name, key in (("prediction takes", "latency"), ("tick begins late by", "jitter"))
    ]
    title = f"{found['rate_hz']:g} Hz, {found['num_ticks']:,} ticks"
    out.print(table(title, ("us", "p50", "p90", "p99", "p99.9", "max"), rows))
    edges, counts = found["histogram"]["edges_us"], found["histogram"]["counts"]
    for (low, high), count in zip(pairwise(edges), counts, strict=True):
        if count:
            share = count / found["num_ticks"]
            bar = "#" * max(1, round(BAR * share))
            out.print(f"{low:>6,} to {high:>6,} us {100 * share:5.1f} % {bar}")
    period_us = 1e6 / found["rate_hz"]
    out.print(
        f"[bold]{found['num_missed']} of {found['num_ticks']:,} deadlines missed[/bold] "
        f"(answers later than {period_us:,.0f} us after their tick)"
    )
    out.print(_describe(status))


def _describe(status: Status) -> str:
    if not status.has_ranges:
        return "this run is too old to know what its training saw: ranges were not checked"
    furthest = ", ".join(f"{name} by {value:.3g}" for name, value in status.outside.items())
    held = f"{status.num_held:,} samples refused" + (
        f" (the last: {status.last_problem})" if status.last_problem else ""
    )
    flagged = f"{status.num_flagged:,} beyond training" + (f" ({furthest})" if furthest else "")
    return f"{held}, {flagged}"


def show_subtraction(found: Mapping[str, Any]) -> None:
    """Prints the error by band before and after naive subtraction, and what it means."""
    edges, bands, totals = found["edges_hz"], found["bands_um"], found["total_um"]
    kinds = (naive.NONE, naive.NETWORK, naive.PERFECT)
    rows = [
        [f"{low:g} to {high:g} Hz", *(f"{bands[kind][i]:.1f}" for kind in kinds)]
        for i, (low, high) in enumerate(pairwise(edges))
    ]
    rows.append(["in all", *(f"{totals[kind]:.1f}" for kind in kinds)])
    columns = ("error, um RMS", "no correction", "minus network", "minus perfect")
    out.print(table("command = reference - predicted error", columns, rows))
    out.print(naive.verdict(found))
