"""Texts of strangers can be shown and put into code without meaning anything there."""

import pickle
import re
import shutil
from pathlib import Path

import toy

from jaxcorr.cli import console
from jaxcorr.data import trace
from jaxcorr.errors import InputError, command, plain, printable


def test_a_plain_name_means_nothing_to_anyone():
    assert plain("layer06_ender3v2.mat (copy 2), Füße") == "layer06_ender3v2.mat (copy 2), Füße"
    assert re.fullmatch(r"[\w .,+:=@()/-]+", plain(toy.NASTY))
    assert not re.search(r"[*%<>$`'\"\\\n\x1b]", plain(toy.NASTY))


def test_no_text_moves_the_cursor(capsys):
    assert printable("a\x1b[2Jb\u202e\tc\n") == "a\\x1b[2Jb\\u202e\tc\n"
    error = InputError(f"{toy.NASTY}: expected a run, got none.")
    assert "\x1b" not in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    console.out.print(toy.NASTY, markup=False)
    console.out.print(console.table("", ("name",), [[toy.NASTY.replace("[", "(")]]))
    assert "\x1b" not in capsys.readouterr().out


def test_a_long_name_leaves_where_and_what_to_do():
    error = InputError(f"a.toml: expected a file, got '{'x' * 10**6}'. Mend it.\nb: short")
    assert re.fullmatch(r"a\.toml: .* got 'x+ \.\.\. x+'\. Mend it\.\nb: short", str(error))
    assert len(str(error)) < 2_020
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_command_is_named_as_it_can_be_typed(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", {"just": "/bin/just"}.get)
    monkeypatch.chdir(Path(__file__).parent.parent)
    assert command("eval latest") == "just eval latest"
    monkeypatch.setattr(shutil, "which", {}.get)
    assert command("eval latest") == "jaxcorr eval latest"
    monkeypatch.setattr(shutil, "which", {"just": "/bin/just"}.get)
    monkeypatch.chdir(tmp_path)
    assert command("eval latest") == "jaxcorr eval latest"


def test_names_of_traces_are_plain(tmp_path):
    path = tmp_path / toy.NASTY / "layer1.mat"
    assert trace.part_of(path) == plain(toy.NASTY)
    assert trace.name_of(path) == f"{plain(toy.NASTY)}/layer1"
