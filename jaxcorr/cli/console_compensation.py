"""What `compensate` and `compensate-suite` show: tables in um, and a verdict for each goal.

It formats what others judged. Results go to stdout.
"""

from collections.abc import Sequence

from jaxcorr.cli.console import out, table
from jaxcorr.compensation.closed_loop import NOMINAL, NONE, Row
from jaxcorr.compensation.goals import Summary, Verdict, accel_text, summarize
from jaxcorr.compensation.judge import Judged
from jaxcorr.compensation.methods import Accuracy

CONVERGED = "converged"
COLUMNS = ("RMS um", "down %", "mean", "max", "contour RMS", "max", "ringing", "correction")


def show_trials(rows: Sequence[Row]) -> None:
    """Prints a table for each layer, and one for all where there are several."""
    summaries = summarize(rows)
    layers = list(dict.fromkeys((row.layer, row.accel_mm_s2) for row in rows))
    for name, accel_mm_s2 in layers:
        mine = [row for row in rows if row[:2] == (name, accel_mm_s2)]
        _show(f"{name}, {accel_text(accel_mm_s2)}", summarize(mine))
    for accel_mm_s2 in dict.fromkeys(accel for _, accel in layers):
        if sum(accel == accel_mm_s2 for _, accel in layers) > 1:
            mine = [one for one in summaries if one.accel_mm_s2 == accel_mm_s2]
            _show(f"all layers, {accel_text(accel_mm_s2)}", mine)


def show_accuracies(found: Sequence[Accuracy]) -> None:
    """Prints how well the network foresees what plain commands and its own ones do."""
    for one in found:
        commands = "plain commands" if one.remedy == NONE else f"commands of '{one.remedy}'"
        out.print(f"network on {commands}: R2 {one.r2:.4f}, RMSE {one.rmse_um:.2f} um")


def show_searches(rows: Sequence[Row]) -> None:
    """Prints how long commands took to find, and every search that did not converge."""
    searches = [row for row in rows if row.note and row.printer == NOMINAL]
    for remedy in dict.fromkeys(row.remedy for row in searches):
        mine = [row for row in searches if row.remedy == remedy]
        seconds = sorted(row.solve_s for row in mine)
        # The first layer of all compiles; the median leaves it out.
        text = f"{remedy}: {len(mine)} solved, median {seconds[len(seconds) // 2]:.1f} s a layer"
        failed = [
            f"{row.layer} at {accel_text(row.accel_mm_s2)} {row.note}"
            for row in mine
            if row.note != CONVERGED
        ]
        out.print(f"{text}; {'; '.join(failed) or 'all converged'}")


def show_suite(rows: Sequence[Row]) -> None:
    """Prints a table of all layers for each printer and acceleration."""
    summaries = summarize(rows)
    for printer, accel in dict.fromkeys((one.printer, one.accel_mm_s2) for one in summaries):
        mine = [one for one in summaries if (one.printer, one.accel_mm_s2) == (printer, accel)]
        title = f"{printer}, {accel_text(accel)}" if printer != NOMINAL else accel_text(accel)
        _show(f"all layers, {title}", mine)


def show_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Prints a line for each goal: met or missed, and by what."""
    for one in verdicts:
        word = "[green]met[/green]   " if one.is_met else "[red]missed[/red]"
        out.print(f"{word} {one.goal}: {one.found}")


def _show(title: str, summaries: Sequence[Summary]) -> None:
    out.print(table(title, ("", *COLUMNS), [_row(one) for one in summaries]))


def _row(one: Summary) -> Sequence[str]:
    found: Judged = one.judged
    return (
        one.remedy,
        f"{found.rms_um:.1f}",
        f"{100 * one.reduction:.1f}",
        f"{found.mean_um:.1f}",
        f"{found.max_um:.0f}",
        f"{found.contour_um:.1f}",
        f"{found.contour_max_um:.0f}",
        f"{found.vibration_um:.1f}",
        f"{found.correction_um:.0f}",
    )
