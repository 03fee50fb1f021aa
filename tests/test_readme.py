"""What the README says can be run: its example, its recipes, its files and its keys."""

import re
import shutil

import numpy as np
import readme

from jaxcorr import spec

ROOT = readme.README.parent
TEXT = readme.README.read_text(encoding="utf-8")


def test_the_first_command_sets_up_and_trains():
    first, second, *rest = readme.commands(TEXT)
    assert first == "pip install uv rust-just && just train specs/medium_hybrid.toml"
    assert second == "just test"
    assert {"just eval runs/latest", "just export runs/latest"} <= set(rest)


def test_the_examples_predict_and_compensate(trained, tmp_path, monkeypatch, capsys):
    shutil.copytree(trained.run.path, tmp_path / "runs" / trained.run.id)
    monkeypatch.chdir(tmp_path)
    sample = map(float, trained.data.test.features[0])
    program = readme.example(TEXT, dict(zip(("x", "y", "vx", "vy"), sample, strict=True)))
    assert "Predictor.load" in program
    exec(program, {})
    *errors, num_commands = map(float, capsys.readouterr().out.split())
    assert len(errors) == 2
    assert np.isfinite(errors).all()
    assert num_commands > 0


def test_every_recipe_named_is_there_and_every_recipe_is_named():
    there = set(
        re.findall(
            r"^([a-z][a-z-]*)\b[^=:\n]*:(?!=)", (ROOT / "justfile").read_text(), re.MULTILINE
        )
    )
    named = readme.recipes(TEXT)
    assert named <= there
    assert there - named == {"default"}, "the table of recipes in the README names each"


def test_every_spec_and_module_named_is_there():
    for name in re.findall(r"\bspecs/\w+\.(?:toml|md)", TEXT):
        assert (ROOT / name).is_file(), name


def test_every_key_in_the_table_of_options_is_there():
    rows = re.findall(r"^\|.*\|$", readme.section(TEXT, "Specs"), re.MULTILINE)
    keys = set(re.findall(r"`([a-z]+(?:\.[a-z_]+)+)(?: = [^`]*)?`", "\n".join(rows)))
    assert "data.window" in keys
    known = set(flatten(spec.Spec.model_fields, ""))
    assert keys <= known


def flatten(fields, prefix):
    """Every dotted name of a section and of those in it."""
    for name, field in fields.items():
        yield f"{prefix}{name}"
        inner = field.annotation
        for kind in (inner, *getattr(inner, "__args__", ())):
            if hasattr(kind, "model_fields"):
                yield from flatten(kind.model_fields, f"{prefix}{name}.")
