"""The command `rewrite`: a file out, in place as a slicer's script, checked again, refused."""

import gzip
import importlib.util
import json
import re
import signal
import subprocess
import sys
import types

import pytest
from plant_map import solver_of_plant, square_file

from jaxcorr.cli import rewrite

KILLED = """
import os, pathlib, signal, sys
from jaxcorr import files
from jaxcorr.rewrite import source

def stop(lines):
    yield from list(lines)[:9]
    os.kill(os.getpid(), signal.SIGKILL)

path = pathlib.Path(sys.argv[1])
with files.write_whole(path) as partial:
    source.write_lines(path, partial, stop)
"""


@pytest.fixture
def known(trained, tmp_path, monkeypatch):
    """A toy run whose solver is that of the reference printer, and a file."""
    monkeypatch.setattr(rewrite, "_solver", lambda _: solver_of_plant())
    (tmp_path / "printer.toml").write_text(
        "microstep_um = 0.0\nsteps_per_mm = [80.0, 80.0]\n", encoding="utf-8"
    )
    path = square_file(tmp_path / "square.gcode", layers=1)
    return [trained.run.path, path, "--printer", tmp_path / "printer.toml"], path


def test_writes_checks_and_draws(run, known, tmp_path):
    words, path = known
    out, plot = tmp_path / "out.gcode", tmp_path / "worst.png"
    code, text, err = run("rewrite", *words, "--out", out, "--plot", plot)
    assert code == 0, err
    assert "print time" in text
    assert "pieces/s" in text
    assert f"written: {out}" in text
    assert plot.stat().st_size > 10_000
    code, text, err = run("rewrite", *words, "--check", out, "--json", "--against-shaper", "zv")
    assert code == 0, err
    found = json.loads(text)["all"]
    assert found["after"]["contour_um"] < 0.5 * found["before"]["contour_um"]
    assert found["after"]["contour_um"] < found["shaped"]["contour_um"]
    assert found["shaped"]["num_samples"] == found["before"]["num_samples"]
    assert path.read_bytes().count(b"corrected") == 0
    code, _, err = run("rewrite", *words[:1], out, *words[2:], "--out", tmp_path / "twice.gcode")
    assert code == 2
    assert "corrected already" in err


def test_a_slicers_script_replaces_its_file(run, known, monkeypatch):
    words, path = known
    code, _, err = run("rewrite", *words)
    assert (code, err.count("\n")) == (2, 1)
    assert "expected --out FILE or --in-place, got neither" in err
    packed = path.with_name("square.gcode.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setenv(rewrite.OUTPUT_NAME, "square.gcode")
    code, _, err = run("rewrite", words[0], packed, *words[2:])
    assert code == 0, err
    assert b"; corrected by jaxcorr" in gzip.decompress(packed.read_bytes())


def test_cura_calls_it_through_its_folder_of_scripts(run, known, tmp_path, monkeypatch):
    words, part = known
    code, _, err = run("rewrite", words[0], "--cura-script", tmp_path / "none")
    assert (code, err.count("\n")) == (2, 1)
    assert "Show Configuration Folder" in err
    code, text, err = run("rewrite", words[0], "--cura-script", tmp_path)
    assert code == 0, err
    path = tmp_path / "JaxcorrRewrite.py"
    assert f"written: {path}" in text.replace("\n", "")

    base = types.ModuleType("plugin.Script")
    base.Script = type("Script", (), {"getSettingValueByKey": lambda *_: "--layers 1"})
    monkeypatch.setitem(sys.modules, "plugin", types.ModuleType("plugin"))
    monkeypatch.setitem(sys.modules, "plugin.Script", base)
    # As Cura's PostProcessingPlugin loads it: class and file have one name.
    named = importlib.util.spec_from_file_location(
        "plugin.PostProcessingPlugin.JaxcorrRewrite", path
    )
    module = importlib.util.module_from_spec(named)
    named.loader.exec_module(module)
    script = module.JaxcorrRewrite()
    assert json.loads(script.getSettingDataString())["key"] == "JaxcorrRewrite"

    def called(command, **how):
        assert command[:5] == [sys.executable, "-m", "jaxcorr", "rewrite", str(words[0])]
        assert "PYTHONPATH" not in how["env"]
        code, _, err = run(*command[3:], *words[2:])
        return types.SimpleNamespace(returncode=code, stderr=err)

    monkeypatch.setattr(module.subprocess, "run", called)
    data = [";FLAVOR:Marlin\n", *re.split("(?=;LAYER_CHANGE)", part.read_text())]
    data[2] = ";LAYER:0\n" + data[2].replace(";LAYER_CHANGE\n", "").replace(
        "Outer wall", "WALL-OUTER"
    )
    made = script.execute(data)
    assert [one.partition("\n")[0] for one in made] == [";FLAVOR:Marlin", ";LAYER:0"]
    assert made[0].split("\n")[1].startswith("; corrected by jaxcorr")
    assert made[1].count("\n") > data[2].count("\n")
    with pytest.raises(RuntimeError, match="corrected already"):
        script.execute(made)


def test_shapers_alone(run, known, tmp_path):
    words, _ = known
    out = tmp_path / "out.gcode"
    code, _, err = run("rewrite", *words, "--out", out, "--shaper-only", "zv")
    assert code == 0, err
    assert b"\nM593 X F24.1 D0.142\nM593 Y F21.2 D0.125\n" in out.read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--features", "walls"], "expected all or some of unknown, custom, outer_wall"),
        (["--layers", "7"], "expected numbers from 1 to 1, got 7"),
        (["--features", "top_surface"], "expected a feature that these layers have"),
        (["--against-shaper", "ai"], "expected a shaper of zv, mzv, ei, got 'ai'"),
        (["--in-place"], "expected --out FILE or --in-place, got both"),
    ],
)
def test_refusals(run, known, tmp_path, words, message):
    begin, path = known
    before = path.read_bytes()
    code, _, err = run("rewrite", *begin, "--out", tmp_path / "out.gcode", *words)
    assert code == 2
    assert message in err
    assert path.read_bytes() == before
    assert not (tmp_path / "out.gcode").exists()


def test_a_kill_in_the_middle_leaves_the_input_whole(tmp_path):
    path = square_file(tmp_path / "square.gcode")
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
