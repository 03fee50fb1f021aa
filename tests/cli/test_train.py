"""The complete workflow, as a person runs it: once, again, and stopped between its stages."""

import json
import os
import re
import signal
from pathlib import Path

import oscillator
import pytest
import tomli_w
from typer.testing import CliRunner

from jaxcorr import metrics
from jaxcorr.cli import app, rewrite, session, train
from jaxcorr.data import collect, octave
from jaxcorr.errors import InputError
from jaxcorr.evaluation import evaluate, wording
from jaxcorr.studies import workflow
from jaxcorr.training.run_folder import Run

TOY = {"model": {"hidden_size": 4, "encoder_size": 4, "num_layers": 1}, "train": {"epochs": 2}}
MADE = ("metrics.json", "predictions", "report/index.html", "export/step.onnx", "export/step.c")


@pytest.fixture
def spec(layers, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "NUM_TIMED_CALLS", 20)
    monkeypatch.setattr(octave, "find", lambda: None)  # it would only check the exported weights
    table = oscillator.make_table(layers)
    for section, keys in TOY.items():
        table[section] = table[section] | keys
    path = tmp_path / "toy.toml"
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    return path


def run(spec, *more):
    words = ["pipeline", str(spec), "--runs", str(spec.parent / "runs"), *more]
    return CliRunner().invoke(app.app, words)


def stop(*_):
    """Ctrl-C while a stage runs."""
    os.kill(os.getpid(), signal.SIGINT)


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_it_goes_on_where_it_was_stopped_and_names_what_was_made(spec, monkeypatch):
    home = spec.parent / "runs"
    with monkeypatch.context() as patch:
        patch.setattr(session, "catch_interrupt", lambda: [signal.SIGINT])
        said = run(spec)
    assert said.exit_code == 130
    assert "interrupted and saved; the same command goes on" in said.stderr
    folder = (home / "latest").resolve()
    assert {path.name for path in home.iterdir()} == {"latest", folder.name}
    for name in ("evaluate", "export_model"):
        with monkeypatch.context() as patch:
            patch.setattr(workflow, name, stop)
            assert run(spec).exit_code == 130
    assert len((folder / "history.jsonl").read_text().splitlines()) == 2
    assert workflow.is_evaluated(Run(folder))
    assert not workflow.is_exported(Run(folder))

    said = run(spec)
    assert said.exit_code == 0, said.output
    for name in MADE:
        # The forms of an export have one row.
        assert str(folder / re.sub("export/.*", "export", name)) in said.stdout
        assert (folder / name).exists()
    assert "6 traces" in said.stdout
    assert "2 epochs" in said.stdout
    evaluation = metrics.read(folder / "metrics.json")
    assert " ".join(said.stdout.split()).startswith(wording.verdict(evaluation))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    before = stamps(spec.parent)
    found = json.loads(run(spec, "--json").stdout)
    assert stamps(spec.parent) == before
    assert found["run"] == str(folder)
    assert found["verdict"] == evaluation.verdict.model_dump(mode="json")
    sizes = {row["path"]: row["num_bytes"] for row in found["made"]}
    assert {str(folder / name) for name in MADE} <= sizes.keys()
    assert all(size > 0 for size in sizes.values())
    assert sizes[str(folder / "metrics.json")] == (folder / "metrics.json").stat().st_size


def test_a_stop_that_python_dropped_counts_after_the_stage(spec, monkeypatch):
    def prepare(*_):
        try:
            stop()
        except KeyboardInterrupt:
            return

    monkeypatch.setattr(session, "prepare", prepare)
    assert run(spec).exit_code == 130
    assert not (spec.parent / "runs").exists()


def test_a_later_training_makes_what_follows_it_stale(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text("{}\n")
    run = Run(tmp_path)
    for name in ("export/manifest.json", "metrics.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert workflow.is_exported(run)
    assert not workflow.is_evaluated(run)  # no report yet
    later = (tmp_path / "metrics.json").stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))
    assert not workflow.is_exported(run)


def test_octave_has_to_be_there_where_it_has_something_to_make(spec, monkeypatch):
    missing = {"toy": [spec.parent / "layer01.mat"]}
    monkeypatch.setattr(collect, "traces_to_make", lambda _: missing)
    monkeypatch.setattr(octave, "files_by_part", lambda options, _home: options)
    said = run(spec, "--simulator", "octave")
    assert isinstance(said.exception, InputError)
    assert "expected GNU Octave" in str(said.exception)
    assert not (spec.parent / "runs").exists()


def test_a_stop_after_the_last_dispatch_still_stops(spec, monkeypatch):
    follow, requested = session.follow, []

    def follow_then_ask(*args):
        done = follow(*args)
        requested.append(signal.SIGINT)
        return done

    monkeypatch.setattr(session, "catch_interrupt", lambda: requested)
    monkeypatch.setattr(session, "follow", follow_then_ask)
    assert run(spec).exit_code == 130
    folder = (spec.parent / "runs" / "latest").resolve()
    assert not workflow.is_evaluated(Run(folder))


def test_an_ignored_ctrl_c_stays_ignored_and_sigterm_stops(spec, monkeypatch):
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def terminate(*_):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(session, "prepare", terminate)
    assert run(spec).exit_code == 130
    assert not (spec.parent / "runs").exists()


def test_printer_is_every_step_for_one_printer(tmp_path, monkeypatch, trained):
    """What takes minutes is noted in place of done."""
    part = tmp_path / "part.gcode"
    head = "; generated by PrusaSlicer 2.7.1 on 2024-01-25\nM83\nG1 X9 Y9 Z0.2 F6000\n"
    wall = ";LAYER_CHANGE\n;TYPE:External perimeter\nG1 X40 Y9 E1 F1800\nG1 X40 Y40 E1\n"
    part.write_text(head + wall, encoding="utf-8")
    asked = []
    monkeypatch.setattr(session, "prepare", lambda spec: asked.append(spec.data))
    monkeypatch.setattr(train, "_train", lambda *_: trained.run)
    monkeypatch.setattr(rewrite, "rewrite", lambda *given, **_: asked.append(given))
    spec = Path(app.__file__).parent.parent.parent / "specs" / "ender3_v2.toml"
    words = ["printer", str(part), "--printer", "ender3_v2", "--spec", str(spec)]
    said = CliRunner().invoke(app.app, words)
    assert said.exit_code == 0, said.output
    data, given = asked
    assert data.simulate.printer == "ender3_v2"
    assert re.fullmatch(r"data/ender3_v2-[0-9a-f]{8}/\*/\*\.mat", data.traces[0])
    assert collect.traces_to_make(data) == data.simulate
    assert given == (str(trained.run.path), part, tmp_path / "part.corrected.gcode")
    assert [line for line in said.stderr.splitlines() if " of 4: " in line][-1].startswith("4 of 4")
    missing = CliRunner().invoke(app.app, ["printer", str(part), "--printer", "none.toml"])
    assert isinstance(missing.exception, InputError)
