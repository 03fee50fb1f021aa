"""Commands for GNU Octave, and what it says when it fails; none is started here."""

import pytest

from jaxcorr.data import octave


def test_a_command_has_the_functions_on_its_path():
    command = octave.command("octave-cli", "collect_all")
    assert command[0] == "octave-cli"
    assert command[-2:] == ["--eval", "collect_all"]
    assert octave.SOURCES / "collect_all.m" in octave.SOURCES.glob("*.m")
    assert str(octave.SOURCES) in command


def test_without_the_functions_there_is_no_octave(monkeypatch, tmp_path):
    monkeypatch.setattr(octave.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert octave.find() == "/usr/bin/octave-cli"
    monkeypatch.setattr(octave, "SOURCES", tmp_path)
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
