"""The commands that judge models, as a person runs them."""

import json
import shutil
from pathlib import Path

import numpy as np
import oscillator
import pytest
import tomli_w
from typer.testing import CliRunner

from jaxcorr import Predictor, files, metrics
from jaxcorr.cli import app
from jaxcorr.cli.evaluate import say_beyond
from jaxcorr.errors import InputError
from jaxcorr.evaluation import evaluate, report, wording
from jaxcorr.models.ranges import Ranges
from jaxcorr.studies import trainings
from jaxcorr.training import run_folder
from jaxcorr.training.run_folder import Run


@pytest.fixture(autouse=True)
def _few_timed_calls(monkeypatch):
    monkeypatch.setattr(evaluate, "NUM_TIMED_CALLS", 100)


@pytest.fixture
def done(trained, tmp_path):
    """A copy of a finished run."""
    return shutil.copytree(trained.run.path, tmp_path / "runs" / trained.run.id)


@pytest.fixture
def spec(layers, tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(tomli_w.dumps(oscillator.make_table(layers)), encoding="utf-8")
    return path


def run(*argv):
    return CliRunner().invoke(app.app, [str(word) for word in argv])


def spoil_newest(done):
    """Leaves the newest of two checkpoints with other bits than were written."""
    newest = max((done / "checkpoints").iterdir(), key=lambda path: int(path.name))
    shutil.copytree(newest, newest.with_name("1"))
    for path in newest.rglob("best/**/d/*"):
        path.write_bytes(path.read_bytes()[::-1])


def test_a_run_that_can_only_be_read_is_judged_elsewhere(done, tmp_path):
    before = sorted(done.rglob("*"))
    (done / f".report.{files.HOST}.4194305.partial").mkdir()  # of an eval that was killed
    said = run("eval", done, "--no-report", "--out", tmp_path / "elsewhere")
    assert said.exit_code == 0, said.output
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == [metrics.FILE]
    spoil_newest(done)
    said = run("eval", done, "--no-report")
    assert said.exit_code == 0, said.output
    assert "newest checkpoint not used: " in said.stderr
    assert said.stderr.replace("\n", " ").find("taking step 1") > 0
    assert sorted(done.rglob(".*")) == []
    with pytest.raises(InputError, match="expected the newest checkpoint to be whole, got"):
        Predictor.load(done)
    assert {path.name for path in before} | {metrics.FILE} >= {p.name for p in done.iterdir()}


def test_eval_is_short_and_says_what_it_does(done):
    said = run("eval", done, "--no-report")
    assert said.exit_code == 0, said.output
    assert len(said.stdout.splitlines()) <= 25
    found = metrics.read(done / metrics.FILE)
    assert " ".join(said.stdout.split()).startswith(wording.verdict(found))
    assert "linear_smooth" in said.stdout
    assert "by speed" not in said.stdout
    phases = [line.split("s  ")[1] for line in said.stderr.splitlines()]
    assert phases[:2] == [f"loading {done.name}", "reading the run"]
    assert "timing 100 predictions" in phases
    assert "predicting each sample from its window alone" in phases


def test_eval_shows_rivals_uncertainty_and_breakdown_if_asked(done):
    said = run("eval", done, "--no-report", "--verbose")
    assert said.exit_code == 0, said.output
    found = metrics.read(done / metrics.FILE)
    unwrapped = " ".join(said.stdout.split())
    assert unwrapped.startswith(wording.verdict(found))
    assert unwrapped.endswith(wording.verdict(found))
    for text in (
        "linear_smooth", "identified plant (x 1",
        "95% interval", "um RMS of dynamics remain", "by speed", "predicts the error at the newest",
        "by way since the last corner", "by trace, worst first", "p99.9", "the limit of 1 ms",
    ):  # fmt: skip
        assert text in said.stdout
    # The toy was neither simulated by us nor labelled.
    assert "noise ceiling" not in said.stdout
    assert "by kind of line" not in said.stdout
    assert not (done / "report").exists()


def test_a_plant_alone_is_judged_by_the_best_other_baseline(layers, tmp_path):
    begun = oscillator.begin(layers, tmp_path, model={"path": "plant"}, train={"epochs": 0})
    oscillator.fit(begun)
    said = run("eval", begun.run.path, "--no-report")
    assert said.exit_code == 0, said.output
    assert said.stdout.startswith("The identified plant alone, without a network, ")
    found = metrics.read(begun.run.path / metrics.FILE)
    assert (found.verdict.path, found.verdict.has_network) == ("plant", False)
    assert found.verdict.against_best.name != "physics"
    assert "this run, the plant alone" in said.stdout


def test_eval_writes_a_page_and_predictions(done, monkeypatch):
    monkeypatch.setattr(report, "_drawings", lambda *_: [])  # test_report.py draws them
    said = run("eval", done.name[:15], "--runs", done.parent, "--save-predictions", "--json")
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    assert found == json.loads((done / "metrics.json").read_text())
    assert (done / "report" / "index.html").is_file()
    assert {path.suffix for path in (done / "predictions").iterdir()} == {".mat", ".npz"}


def test_eval_on_other_traces_leaves_the_runs_own_figures_alone(done, layers):
    pattern = layers.replace("*.mat", "layer0[01].mat")
    assert run("eval", done, "--traces", pattern, "--no-report").exit_code == 0
    assert not (done / "metrics.json").exists()
    found = json.loads((done / "metrics_traces.json").read_text())
    assert found["test"]["num_traces"] == 2
    assert found["baselines"]


def test_a_damaged_run_is_refused(done):
    (done / "baselines.npz").write_bytes(b"damaged")
    said = run("eval", done, "--no-report")
    assert isinstance(said.exception, InputError)
    assert "expected the run's fitted baselines" in str(said.exception)


def test_an_interrupted_run_is_judged_by_its_best_so_far(layers, tmp_path):
    begun = oscillator.begin(layers, tmp_path)
    stops = iter([False] * 5 + [True] * 1000)
    oscillator.fit(begun, should_stop=lambda: next(stops))
    said = run("eval", begun.run.path, "--no-report")
    assert said.exit_code == 0, said.output
    assert "training has not ended; using its best so far, epoch " in said.stderr


def test_compare_says_whether_runs_differ(done, trained):
    said = run("compare", done, trained.run.path)
    assert said.exit_code == 0, said.output
    assert "A and B do not differ beyond chance" in said.stdout
    assert "within chance" in said.stdout
    found = json.loads(run("compare", done, trained.run.path, "--json").stdout)
    assert found["metrics"]["r2"]["difference"] == 0
    missing = run("compare", done, "nothing", "--runs", done.parent)
    assert isinstance(missing.exception, InputError)


@pytest.fixture
def _no_training(monkeypatch, trained):
    """Each training is a copy of the finished run under the name and horizon that was asked for."""

    def work(_base, jobs, folder, _follow, should_stop, _with_ceiling):
        for changes in jobs:
            wanted = dict(change.split("=", 1) for change in changes)
            name = json.loads(wanted["train.name"])
            made = Run(shutil.copytree(trained.run.path, folder / f"20260101-000000-{name}"))
            metrics = json.loads(kept.read_text())
            metrics["horizon"] = int(wanted.get("data.horizon", 0))
            files.write_json(made.path / "metrics.json", metrics)
            yield made
            if should_stop():
                return

    kept = Path(shutil.copy(_metrics_of(trained), trained.run.path.parent / "kept.json"))
    monkeypatch.setattr(trainings, "work", work)


def _metrics_of(trained):
    copy = shutil.copytree(trained.run.path, trained.run.path.parent / "copy", dirs_exist_ok=True)
    assert run("eval", copy, "--no-report").exit_code == 0
    return copy / "metrics.json"


@pytest.mark.usefixtures("_no_training")
def test_horizons_are_a_table_and_a_figure(spec, tmp_path):
    folder = tmp_path / "h"
    said = run("horizons", spec, "--from", -1, "--to", 1, "--runs", folder, "--epochs", 1)
    assert said.exit_code == 0, said.output
    rows = [line.split()[0] for line in said.stdout.splitlines() if line[:2] in ("-1", "0 ", "+1")]
    assert rows == ["-1", "0", "+1"]
    assert (folder / "horizons" / "toy.png").is_file()
    assert (folder / "horizons" / "toy.svg").is_file()
    names = [item.id.partition("-toy-")[2] for item in run_folder.list_all(folder / "horizons")]
    assert sorted(names) == ["ahead0", "ahead1", "preview1"]


def test_inputs_beyond_training_are_named(capsys):
    known = Ranges((0.0, -100.0), (200.0, 100.0), (), ())
    rows = np.array([[10.0, 150.0], [20.0, 0.0], [30.0, -120.0], [40.0, 0.0]])
    say_beyond(["x_ref", "vx_ref"], known, rows)
    assert capsys.readouterr().err == "vx_ref: 50% of samples beyond training, -100 to 100\n"


@pytest.mark.usefixtures("_no_training")
def test_crossval_is_a_row_a_part_and_their_mean(layers, tmp_path):
    first = Path(layers).parent
    second = shutil.copytree(first, tmp_path / "data_simulation_other_all")
    path = tmp_path / "two.toml"
    table = oscillator.make_table(layers)
    table["data"]["traces"] = [f"{first}/*.mat", f"{second}/*.mat"]
    path.write_text(tomli_w.dumps(table))
    said = run("crossval", path, "--runs", tmp_path / "c")
    assert said.exit_code == 0, said.output
    lines = said.stdout.splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["other", "toy", "mean"]
    assert [line.split()[0] for line in lines[7:9]] == ["other", "toy"]
    assert "linear_smooth" in lines[6]
    found = json.loads(run("crossval", path, "--runs", tmp_path / "d", "--json").stdout)
    (written,) = (tmp_path / "d" / "crossval").glob("*-by-part.json")
    assert json.loads(written.read_text()) == found
    assert [fold["label"] for fold in found["folds"]] == ["other", "toy"]
    assert found["mean"]["r2"] == pytest.approx(found["folds"][0]["r2"])
    named = run("crossval", path, "--leave-out", "last=*_other_*", "--runs", tmp_path / "c")
    assert named.stdout.splitlines()[2].split()[0] == "last"
    alone = run("crossval", path, "--by", "acceleration")
    assert isinstance(alone.exception, InputError)
