"""The list of runs: state and figures from their files, and no damaged run hides the others."""

import datetime
import json

import pytest

from jaxcorr import spec
from jaxcorr.training import locks, overview

SPEC = spec.from_table({"data": {"traces": ["a"]}, "train": {"epochs": 5, "patience": 2}}, "here")
METRICS = {"test": {"overall": {"mae_mm": 0.004, "r2": 0.98}}}


def make(folder, name, maes, metrics=None, **changes):
    made = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=2)
    resolved = {"spec": spec.to_table(SPEC), "split": {}, "fingerprint": {}, "num_inputs": 6}
    path = folder / name
    path.mkdir()
    content = resolved | {"created": made.isoformat()} | changes
    (path / "resolved.json").write_text(json.dumps(content))
    rows = [{"epoch": i, "train_mae_mm": 1.0, "val_mae_mm": mae} for i, mae in enumerate(maes)]
    (path / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if metrics:
        (path / "metrics.json").write_text(json.dumps(metrics))
    return path


def state(folder):
    (row,) = overview.list_runs(folder)
    return row.state


def test_no_folder_has_no_runs(tmp_path):
    assert overview.list_runs(tmp_path / "runs") == []


def test_figures_are_those_of_the_runs_own_files(tmp_path):
    make(tmp_path, "20260101-000000-a", [0.5, 0.2, 0.3, 0.4])
    make(tmp_path, "20260102-000000-b", [0.5, 0.2, 0.3], METRICS)
    first, second = overview.list_runs(tmp_path)
    assert (first.epochs, first.val_mae_mm, first.test_mae_mm) == (4, 0.2, None)
    assert (second.epochs, second.test_mae_mm, second.test_r2) == (3, 0.004, 0.98)
    assert first.age_s == pytest.approx(7200, abs=60)


@pytest.mark.parametrize(
    ("maes", "metrics", "expected"),
    [
        ([], None, "interrupted"),
        ([0.5, 0.4], None, "interrupted"),
        ([0.5, 0.4, 0.4], None, "interrupted"),
        ([0.5, 0.4, 0.4, 0.6], None, "trained"),  # two epochs no better: out of patience
        ([0.5, 0.4, 0.3, 0.2, 0.1], None, "trained"),
        ([0.5, 0.4], METRICS, "evaluated"),
    ],
)
def test_the_state_says_how_far_a_run_came(tmp_path, maes, metrics, expected):
    make(tmp_path, "20260101-000000-a", maes, metrics)
    assert state(tmp_path) == expected


def test_a_run_that_a_process_trains_is_running(tmp_path):
    path = make(tmp_path, "20260101-000000-a", [0.5], METRICS)
    with locks.hold(path / locks.TRAINING):
        assert state(tmp_path) == "running"
    assert state(tmp_path) == "evaluated"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("resolved.json", "{"),
        ("resolved.json", "[]"),
        (
            "resolved.json",
            '{"spec": 5, "split": {}, "fingerprint": {}, "num_inputs": 6, "created": "2026-01-01"}',
        ),
        ("metrics.json", '{"test": {}}'),
        ("metrics.json", '{"test": 5}'),
        ("history.jsonl", '{"epoch": 1}\n'),
        ("history.jsonl", "5\n"),
    ],
)
def test_a_damaged_run_is_called_so_and_hides_no_other(tmp_path, name, content):
    bad = make(tmp_path, "20260101-000000-a", [0.5], METRICS if name == "metrics.json" else None)
    make(tmp_path, "20260102-000000-b", [0.5], METRICS)
    (bad / name).write_text(content)
    assert [row.state for row in overview.list_runs(tmp_path)] == ["damaged", "evaluated"]
