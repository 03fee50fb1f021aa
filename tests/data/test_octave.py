"""Commands for GNU Octave, and what it says when it fails; none is started here."""

import os
import shutil
import time

import pytest

from jaxcorr import spec
from jaxcorr.data import collect, octave, trace
from jaxcorr.errors import InputError


def test_a_command_has_the_functions_on_its_path():
    command = octave.command("octave-cli", "collect_all")
    assert command[0] == "octave-cli"
    assert command[-2:] == ["--eval", "collect_all"]
    assert octave.MATLAB / "collect_all.m" in octave.MATLAB.glob("*.m")
    assert str(octave.MATLAB) in command


def test_without_the_functions_there_is_no_octave(monkeypatch, tmp_path):
    monkeypatch.setattr(octave.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert octave.find() == "/usr/bin/octave-cli"
    monkeypatch.setattr(octave, "MATLAB", tmp_path)
    assert octave.find() is None


@pytest.mark.parametrize(("text", "literal"), [("boat", "'boat'"), ("it's", "'it''s'")])
def test_quotes_are_doubled(text, literal):
    assert octave.quote(text) == literal


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (
            "warning: x\nerror: expected a, got b.\nerror: called from\n    f at line 3\n",
            "expected",
        ),
        ("error: ignoring const execution_exception& while preparing to exit\n", ""),
        ("killed\n", "killed"),
        ("", ""),
    ],
)
def test_the_reason_is_the_first_error(stderr, reason):
    said = octave.said(stderr)
    assert said.startswith(reason)
    assert "\n" not in said
    assert bool(said) == bool(reason)


LAYER = ";LAYER_CHANGE\nG1 Z{z} F600\nG1 X60 Y{y} E2 F3600\nG1 X20 Y{y} E2\n"


@pytest.fixture
def options(tmp_path, monkeypatch):
    """How to make the traces of a wedge of two layers, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    layers = "".join(LAYER.format(z=0.2 * i, y=20 * i) for i in (1, 2))
    (tmp_path / "wedge's.gcode").write_text(f"G90\nM83\n{layers}")
    return spec.Simulate(
        parts=("wedge's.gcode",),
        layers="1,2",
        seed=2,
        accel_mm_s2=(400.0, 900.0),
        probe_um=(40.0,),
        friction_n=(0.5, 0.7),
        damping="ground",
        sources_off=("jitter", "floor"),
    )


@pytest.mark.parametrize(("changes", "is_able"), [({}, True), ({"printer": "ender3_v2"}, False)])
def test_a_printer_with_limits_of_its_own_is_not_for_octave(changes, is_able):
    assert octave.can_make(spec.Simulate(parts=("boat",), **changes)) is is_able


def fake(folder, script):
    """A program in Octave's place; it gets the code as its last argument."""
    path = folder / "octave"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(
    octave.find() is None and os.environ.get("CI") != "true", reason="GNU Octave is not installed"
)
def test_files_are_those_of_the_built_in_simulator(options):
    program, files = octave.find(), octave.files_by_part(options)
    counts = list(octave.make(program, options, files))
    assert counts[-1] == (8, 8)
    assert sorted(counts) == counts
    paths = files["wedge's.gcode"]
    made = {path: trace.read(path) for path in paths}
    assert {t.params["simulator"] for t in made.values()} == {"jaxcorr matlab"}
    # The built-in simulator takes them for finished, so every option arrived.
    assert not any(file.is_new for file in collect.simulate_part(options, "wedge's.gcode"))
    shutil.rmtree(paths[0].parent)
    list(collect.simulate_part(options, "wedge's.gcode"))
    for path, theirs in made.items():
        ours = trace.read(path)
        assert ours.fields.keys() == theirs.fields.keys()
        for name in ("x_cmd", "error_x", "error_y"):
            if name in ours.fields:
                assert abs(ours.fields[name] - theirs.fields[name]).max() < 1e-6


def test_what_is_there_starts_nothing(options):
    files = octave.files_by_part(options)
    for path in files["wedge's.gcode"]:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert list(octave.make("/nowhere", options, files)) == [(8, 8)]


def test_a_failure_says_why(options, tmp_path):
    program = fake(tmp_path, 'echo "error: expected a, got b." >&2; exit 1')
    files = octave.files_by_part(options)
    with pytest.raises(InputError, match=r"^GNU Octave: .*got 'expected a, got b'\. Mend that"):
        list(octave.make(program, options, files))


def test_a_stop_ends_every_process(options, tmp_path):
    program = fake(tmp_path, 'trap "echo asked > asked; exit" INT; echo $$ > pid; sleep 9 & wait')
    counts = octave.make(program, options, octave.files_by_part(options))
    assert next(counts) == (0, 8)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.01)
    counts.close()
    assert (tmp_path / "asked").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
