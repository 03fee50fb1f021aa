"""The table of losses and sizes: counted, judged by the spread, and never trained twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import evaluations
import oscillator
import pytest
import tomli_w
from typer.testing import CliRunner

from jaxcorr import files, metrics
from jaxcorr.cli import app
from jaxcorr.errors import InputError
from jaxcorr.studies import loss_table, trainings
from jaxcorr.studies.loss_table import Job, Result
from jaxcorr.training import experiment, loop, run_folder

SHORT = ["train.epochs=3"]


def results(**mae_um: list[float]) -> list[Result]:
    """Results of one size, for the seeds 0, 1, ... of each loss; R2 is 1 - MAE in mm."""
    return [
        Result(Job("small", loss, seed), 1 - 1e-3 * um, 1e-3 * um, 0.9, 100, 5.0 + seed, "run")
        for loss, values in mae_um.items()
        for seed, um in enumerate(values)
    ]


def test_cell_holds_mean_and_standard_deviation():
    (cell,) = loss_table.summarize(results(mae=[10.0, 12.0, 14.0]))
    assert cell.mae_mm == pytest.approx((0.012, 0.002))
    assert cell.r2 == pytest.approx((0.988, 0.002))
    assert cell.correlation == (pytest.approx(0.9), 0.0)
    assert (cell.num_seeds, cell.num_parameters, cell.seconds) == (3, 100, 6.0)
    (single,) = loss_table.summarize(results(mae=[10.0]))
    assert single.mae_mm == (0.01, None)
    undefined = [r._replace(r2=None) for r in results(mae=[10.0, 12.0])]
    assert loss_table.summarize(undefined)[0].r2 == (None, None)


@pytest.mark.parametrize(
    ("mae_um", "expected"),
    [
        ({"hybrid": [10.0, 10.2], "mae": [12.0, 12.2]}, "Hybrid beats mae beyond"),
        ({"hybrid": [12.0, 12.2], "mae": [10.0, 10.2]}, "MAE better in 0 and worse in 1, R2 b"),
        ({"hybrid": [10.0, 14.0], "mae": [11.0, 14.5]}, "Hybrid does not beat mae beyond"),
        (
            {"hybrid": [10.0, 10.2], "mae": [12.0, 12.2], "mse": [10.1, 10.3]},
            "Hybrid in part beats mae and mse beyond",
        ),
        ({"hybrid": [10.0], "mae": [12.0]}, "One seed shows no spread"),
        ({"mae": [10.0, 11.0], "mse": [10.0, 11.0]}, "lacks hybrid, or a loss to compare"),
        ({"hybrid": [10.0, 11.0]}, "lacks hybrid, or a loss to compare"),
    ],
)
def test_verdict_asks_for_more_than_the_spread(mae_um, expected):
    sentence = loss_table.compare_losses(loss_table.summarize(results(**mae_um)))
    assert expected in sentence
    assert sentence.count(".") == 1


def test_jobs_go_seed_by_seed():
    jobs = loss_table.plan_jobs(["mae", "hybrid"], ["small"], 2)
    assert jobs == [
        Job("small", "mae", 0),
        Job("small", "hybrid", 0),
        Job("small", "mae", 1),
        Job("small", "hybrid", 1),
    ]
    with pytest.raises(InputError, match="--losses: expected some of mae,mse,hybrid, got 'mea'"):
        loss_table.plan_jobs(["mea"], ["small"], 1)
    with pytest.raises(InputError, match="--sizes: expected some of small,medium,large, got ''"):
        loss_table.plan_jobs(["mae"], [], 1)


@pytest.fixture
def base(tmp_path, layers, monkeypatch) -> Path:
    monkeypatch.setitem(loss_table.SIZES, "small", (4, 1))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "base.toml"
    path.write_text(tomli_w.dumps(oscillator.make_table(layers)))
    return path


def test_command_trains_evaluates_and_uses_its_runs_again(base):
    arguments = ["table", str(base), "--sizes", "small", "--losses", "mse", "--seeds", "1"]
    first = CliRunner().invoke(app.app, [*arguments, "--epochs", "1", "--json"])
    assert first.exit_code == 0, first.output
    found = json.loads(first.stdout)
    assert [cell["loss"] for cell in found["cells"]] == ["mse"]
    folder = Path("runs/table")
    known = run_folder.list_all(folder)
    assert [run.spec().loss.name for run in known] == ["mse"]
    for run, cell, row in zip(known, found["cells"], found["runs"], strict=True):
        assert row["run"] == run.id
        assert len(run.read_history()) == 1
        overall = metrics.read(run.path / metrics.FILE).test.overall.model_dump()
        assert cell["mae_mm"] == {"mean": overall["mae_mm"], "spread": None}
        # Encoder of 6 kinematic inputs and its norm, LSTM of 4 units, head of 2 outputs.
        assert cell["num_parameters"] == (6 * 8 + 8) + 16 + 4 * 4 * (8 + 4 + 1) + (4 * 2 + 2)
    again = CliRunner().invoke(app.app, [*arguments, "--epochs", "1"])
    assert again.exit_code == 0
    assert [run.id for run in run_folder.list_all(folder)] == [run.id for run in known]
    assert found["verdict"] in again.stdout
    assert "small (4×1)" in again.stdout
    text = (folder / "table.md").read_text()
    assert text.startswith("| model | loss | R2 | MAE um | correlation | parameters | s | seeds |")
    assert f"| {1e3 * found['cells'][0]['mae_mm']['mean']:.2f} |" in text


def test_interrupted_table_goes_on_and_changed_data_is_trained_anew(base, monkeypatch):
    def follow(_begun: Any, events: Iterator[loop.Event]) -> loop.Finished:
        *_, last = events
        assert isinstance(last, loop.Finished)
        return last

    monkeypatch.setattr(trainings.evaluate, "evaluate_run", evaluate_nothing)
    (job,), folder = loss_table.plan_jobs(["mae"], ["small"], 1), Path("runs/table")

    def work(is_stopped: bool) -> list[run_folder.Run]:
        jobs = [[*SHORT, *loss_table.changes(job)]]
        return list(trainings.work(base, jobs, folder, follow, lambda: is_stopped, False))

    assert work(is_stopped=True) == []
    (run,) = run_folder.list_all(folder)
    (again,) = work(is_stopped=False)
    assert loss_table.outcome(job, again).run == run.id
    assert len(run.read_history()) == 3
    resolved = run.resolved().model_dump(mode="json")
    changed = resolved["fingerprint"] | {next(iter(resolved["fingerprint"])): "other"}
    files.write_json(run.path / "resolved.json", resolved | {"fingerprint": changed})
    (other,) = work(is_stopped=False)
    assert other.id != run.id
    assert experiment.reopen(other).spec.loss.name == "mae"


def evaluate_nothing(run: run_folder.Run, with_ceiling: bool) -> None:
    assert not with_ceiling
    files.write_json(run.path / "metrics.json", evaluations.TABLE)
