"""The list of runs: what each was, how far it came and what it reached, read from its own files.

It opens no checkpoint and needs no jax, so the list is quick.
"""

import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jaxcorr.errors import InputError
from jaxcorr.training import locks, run_folder
from jaxcorr.training.run_folder import Run


class Row(NamedTuple):
    """One run; metrics are None until there are any."""

    id: str
    state: str  # running, interrupted, trained, evaluated, damaged
    age_s: float | None
    epochs: int
    val_mae_mm: float | None
    test_mae_mm: float | None
    test_r2: float | None


def list_runs(folder: Path) -> list[Row]:
    """All runs of a folder, oldest first."""
    return [_describe(run) for run in run_folder.list_all(folder)]


def _describe(run: Run) -> Row:
    try:
        resolved = run.resolved()
        made = datetime.datetime.fromisoformat(resolved["created"])
        metrics = run.read_json("metrics.json") if (run.path / "metrics.json").exists() else None
        overall = metrics["test"]["overall"] if metrics else {}
        history = run_folder.read_lines(run.history)
        errors = [row["val_mae_mm"] for row in history if row.get("val_mae_mm") is not None]
        return Row(
            id=run.id,
            state=_state(run, resolved["spec"]["train"], history, metrics),
            age_s=(datetime.datetime.now(datetime.UTC) - made).total_seconds(),
            epochs=len(history),
            val_mae_mm=min(errors, default=None),
            test_mae_mm=overall.get("mae_mm"),
            test_r2=overall.get("r2"),
        )
    # A file that was cut or edited must not hide the other runs.
    except (InputError, OSError, KeyError, ValueError, TypeError, AttributeError):
        return Row(run.id, "damaged", None, 0, None, None, None)


def _state(
    run: Run, train: dict[str, Any], history: list[dict[str, Any]], metrics: dict[str, Any] | None
) -> str:
    if locks.holder(run.path / locks.TRAINING):
        return "running"
    if metrics:
        return "evaluated"
    errors = [row.get("val_mae_mm", row["train_mae_mm"]) for row in history]
    waited = len(errors) - 1 - errors.index(min(errors)) if errors else 0
    is_done = len(history) >= train["epochs"] or 0 < train["patience"] <= waited
    return "trained" if is_done else "interrupted"
