"""What README and docs say can be run: examples, recipes, options, files, keys and links."""

import re
import shutil

import numpy as np
import pytest
import readme
import typer
from planned import SHORT

from jaxcorr import spec

TEXTS = {page.name: page.read_text(encoding="utf-8") for page in readme.PAGES}
TEXT = "\n".join(TEXTS.values())


def test_the_readme_is_two_screens_and_its_first_command_sets_up_and_trains():
    assert 4000 <= len(TEXTS["README.md"].encode()) <= 6144
    first, *rest = readme.commands(readme.README)
    assert first == "pip install uv rust-just && just train specs/medium_hybrid.toml"
    assert "just eval runs/latest" in rest
    assert "just export runs/latest" in readme.commands()


@pytest.mark.parametrize("page", ["README.md", "control.md"])
def test_the_examples_predict_and_compensate(page, trained, tmp_path, monkeypatch, capsys):
    """On the toy run, whose printer and samples are not those of the tug boat."""
    shutil.copytree(trained.run.path, tmp_path / "runs" / trained.run.id)
    monkeypatch.chdir(tmp_path)
    head = ["M83", "M204 P300 T300", "G92 E0", "G1 X0 Y0 Z0.2 F1200", ";LAYER_CHANGE"]
    slow = [line.replace("F6000", "F1200") for line in SHORT]
    (tmp_path / "short.gcode").write_text("\n".join([*head, *slow]) + "\n", encoding="utf-8")
    (path,) = [path for path in readme.PAGES if path.name == page]
    program = readme.example(path).replace("3dbenchy", "short.gcode").replace("layer=6", "layer=1")
    assert "Predictor.load" in program
    exec(program, {})
    printed = capsys.readouterr().out
    if page == "README.md":
        before, after = map(float, re.findall(r"(\S+) um RMS", printed))
        assert np.isfinite([before, after]).all()
    else:
        assert "num_held=0" in printed


def test_every_recipe_named_is_there_and_every_recipe_is_named():
    justfile = (readme.ROOT / "justfile").read_text()
    there = set(re.findall(r"^([a-z][a-z-]*)\b[^:\n]*:(?!=)", justfile, re.MULTILINE))
    assert readme.recipes(TEXT) <= there
    unnamed = there - readme.recipes(TEXTS["commands.md"])
    assert unnamed == {"default"}, "the table in docs/commands.md names each recipe"


def test_every_option_in_a_shell_block_is_there():
    """Run by CI or not; what they do is CI's to find out."""
    from jaxcorr.cli import app

    root = typer.main.get_command(app.app)
    known = {
        name: {opt for p in command.params for opt in p.opts}
        for name, command in root.commands.items()
    }
    lines = [(block.page, line) for block in readme.blocks("sh") for line in block.commands]
    for page, line in lines:
        for name, arguments in re.findall(r"(?:^| )just ([a-z-]+)(.*)", line):
            used = set(re.findall(r" (--[a-z0-9-]+)", arguments))
            assert used <= known.get(name, used), f"{page}: {line}"


def test_what_is_not_run_says_why():
    marks = re.findall(r"<!-- not run: (.*) -->\n(.*)", TEXT)
    assert all(len(why) > 10 and fence == "```sh" for why, fence in marks)
    assert len(marks) == sum(bool(block.why_not_run) for block in readme.blocks("sh"))
    assert "<!-- not run" not in re.sub(r"<!-- not run: .* -->\n", "", TEXT)


def test_every_spec_named_is_there():
    for name in re.findall(r"\bspecs/\w+\.(?:toml|md)", TEXT):
        assert (readme.ROOT / name).is_file(), name


def test_every_link_leads_to_a_file():
    for page in readme.PAGES:
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", TEXTS[page.name]):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"


def test_every_key_in_the_table_of_options_is_there():
    rows = re.findall(r"^\|.*\|$", TEXTS["document.md"], re.MULTILINE)
    keys = set(re.findall(r"`([a-z]+(?:\.[a-z_]+)+)(?: = [^`]*)?`", "\n".join(rows)))
    assert "data.window" in keys
    known = set(flatten(spec.Spec.model_fields, ""))
    assert keys - {"profile_inference.py"} <= known


def flatten(fields, prefix):
    """Every dotted name of a section and of those in it."""
    for name, field in fields.items():
        yield f"{prefix}{name}"
        inner = field.annotation
        for kind in (inner, *getattr(inner, "__args__", ())):
            if hasattr(kind, "model_fields"):
                yield from flatten(kind.model_fields, f"{prefix}{name}.")
