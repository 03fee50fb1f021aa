"""The command line end to end: train, eval, export, move, interrupt, and exit codes."""

import json
import shutil

import oscillator
import pytest
import tomli_w

from jaxcorr.errors import command
from jaxcorr.evaluation import evaluate
from jaxcorr.training import run_folder


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Few timed calls."""
    monkeypatch.setattr(evaluate, "NUM_TIMED_CALLS", 100)


@pytest.fixture
def spec(layers, tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(tomli_w.dumps(oscillator.make_table(layers)), encoding="utf-8")
    return path


@pytest.fixture
def done(trained, tmp_path):
    """A copy of a finished run."""
    return shutil.copytree(trained.run.path, tmp_path / "runs" / trained.run.id)


def test_smoke_from_spec_to_export(run, spec, tmp_path):
    folder = tmp_path / "runs"
    code, out, err = run(
        "train", spec, "--runs", folder, "--set", "train.tensorboard=true", "--json"
    )
    assert code == 0
    result = json.loads(out)
    assert result["ended_by"] == "epochs"
    assert "epoch  12/12" in err
    path = run_folder.find("latest", folder).path
    assert result["run"] == str(path)
    assert {"spec.toml", "resolved.json", "stats.json", "history.jsonl", "checkpoints"} <= {
        item.name for item in path.iterdir()
    }
    assert "# changed by --set train.tensorboard=true" in (path / "spec.toml").read_text()

    code, out, _ = run("eval", path, "--no-report", "--json")
    assert code == 0
    metrics = json.loads(out)
    assert metrics == json.loads((path / "metrics.json").read_text())
    assert metrics["test"]["overall"]["mae_mm"] < 0.1
    assert {"r2", "rmse_mm", "correlation"} <= metrics["test"]["x"].keys()
    assert metrics["latency"]["p50_us"] > 0
    assert set(metrics["targets"]) == {"mae_mm", "r2", "inference_ms"}

    code, out, _ = run("export", path, "--json")
    assert code == 0
    assert json.loads(out)["files"]["step.onnx"]["worst_mm"] < 1e-5
    assert (path / "export" / "step.onnx").is_file()

    code, out, _ = run("runs", "--runs", folder, "--json")
    assert code == 0
    assert [row["id"] for row in json.loads(out)] == [path.name]


def test_people_get_tables(run, done, trained):
    code, out, _ = run("eval", done, "--no-report", "--verbose")
    assert code == 0
    for text in (
        "overall",
        "window from zero",
        "p50",
        "targets of the spec",
        "at least 0.67",
        "misses its target",
    ):
        assert text in out
    code, out, _ = run("runs", "--runs", done.parent)
    assert code == 0
    assert done.name in out
    code, out, _ = run("inspect", *trained.spec.data.traces)
    assert code == 0
    assert "6 of 6 files can be trained on, 1,800 samples" in out


def test_a_moved_run_evaluates_to_the_same_numbers(run, done, tmp_path):
    before = json.loads(run("eval", done, "--no-report", "--json")[1])
    moved = done.rename(tmp_path / "elsewhere")
    after = json.loads(run("eval", moved, "--no-report", "--json")[1])
    assert after["test"] == before["test"]
    assert after["window"] == before["window"]


def test_a_run_is_trained_again_from_its_own_spec(run, spec, tmp_path):
    changes = ("--set", "train.epochs=2", "--set", "data.batch_size=16")
    first = json.loads(run("train", spec, "--runs", tmp_path / "a", *changes, "--json")[1])["run"]
    second = run("train", f"{first}/spec.toml", "--runs", tmp_path / "b", "--json")[1]
    histories = [
        (run_folder.Run(tmp_path / path)).history.read_bytes()
        for path in (first, json.loads(second)["run"])
    ]
    assert histories[0] == histories[1]


def test_all_mistakes_of_a_spec_come_at_once(run, spec, tmp_path):
    spec.write_text(spec.read_text() + "\n[optimizer]\nlr = 1\n[loss]\nname = 'mea'\n")
    code, out, err = run("train", spec, "--runs", tmp_path / "runs", "--set", "train.epochs=-1")
    assert (code, out) == (2, "")
    assert "unknown key 'lr'; did you mean 'learning_rate'?" in err
    assert "[loss] name: expected one of" in err
    assert "[train] epochs: expected an integer >= 0, got -1." in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_missing_traces_and_runs_are_one_line(run, spec, tmp_path):
    nowhere = f'data.traces=["{tmp_path}/none/*.mat"]'
    code, _, err = run("train", spec, "--runs", tmp_path / "runs", "--set", nowhere)
    assert code == 2
    assert f"match '{tmp_path}/none/*.mat', got none" in err
    assert len(err.splitlines()) == 1
    code, _, err = run("eval", tmp_path / "runs" / "nothing")
    assert code == 2
    assert "expected one run, got none" in err


def test_a_loss_that_is_not_finite_exits_with_1(run, spec, tmp_path):
    wild = [f"optimizer.{key}" for key in ("learning_rate=1e9", "weight_decay=1e9", "clip_norm=0")]
    changes = [word for change in wild for word in ("--set", change)]
    code, out, err = run("train", spec, "--runs", tmp_path / "runs", *changes)
    assert (code, out) == (1, "")
    assert "expected finite numbers, got loss" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_ctrl_c_saves_and_says_how_to_resume(name, run_apart, run, spec, tmp_path):
    changes = ("--set", "train.epochs=2000", "--set", "optimizer.schedule=constant")
    argv = ("train", spec, "--runs", tmp_path / "runs", *changes)
    code, log = run_apart(*argv, signal=name, after_text="epoch   2/")
    assert code == 130, log
    (begun,) = run_folder.list_all(tmp_path / "runs")
    assert f"interrupted and saved; go on with: {command('resume')} {begun.path}" in log
    rows = begun.read_history()
    assert 2 <= len(rows) < 2000
    resolved = json.loads((begun.path / "resolved.json").read_text())
    resolved["spec"]["train"]["epochs"] = len(rows) + 1  # a short rest
    (begun.path / "resolved.json").write_text(json.dumps(resolved))
    code, _, err = run("resume", begun.id, "--runs", begun.path.parent)
    assert code == 0
    assert f"resuming after epoch {len(rows)}" in err
    assert begun.read_history()[: len(rows)] == rows


def test_a_folder_that_cannot_be_written_is_one_line(run, tmp_path):
    (tmp_path / "file").write_text("")
    argv = ("simulate", "standard_trajectory", "--layers", "1", "--out", tmp_path / "file")
    code, _, err = run(*argv)
    assert code == 2
    last = err.strip().splitlines()[-1]
    assert "file" in last
    assert "expected a file or folder that can be used, got 'Not a directory'" in last


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["train"], f"jaxcorr train: Missing argument 'spec'. See `{command('train --help')}`."),
        (["trian", "x"], "jaxcorr: No such command 'trian'"),
        (["train", "x.toml", "--jsn"], "jaxcorr train: No such option: --jsn"),
        (["simulate", "boat", "--seed", "x"], "jaxcorr simulate: Invalid value for '--seed'"),
    ],
)
def test_a_misspelt_command_line_gets_one_line(run, argv, line):
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert err.startswith(line)
    assert err.count("\n") == 1
