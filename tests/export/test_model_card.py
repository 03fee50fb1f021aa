"""The model card says what the run's files say, and names what they do not."""

import re
import shutil

import numpy as np
import pytest

from jaxcorr.errors import command
from jaxcorr.export import model_card
from jaxcorr.export.model_card import Judgement
from jaxcorr.models.ranges import Ranges
from jaxcorr.training import restore, run_folder
from jaxcorr.training.run_folder import Run

MANIFEST = {
    "platforms": ["cpu", "cuda"],
    "files": {
        "step.onnx": {
            "worst_mm": 2.5e-8,
            "num_samples": 12345,
            "us_per_call": 38.25,
            "checked_with": "onnxruntime 9",
        },
        "step.c": {"worst_mm": None, "us_per_call": None, "checked_with": "not compiled here"},
    },
}


@pytest.fixture
def run(trained, tmp_path):
    """A copy of a finished run."""
    return Run(shutil.copytree(trained.run.path, tmp_path / "a-run"))


@pytest.fixture(scope="module")
def loaded(trained):
    return restore.load_weights(trained.run)


def table_rows(text, first):
    """Cells of the table whose header begins with `first`."""
    lines = iter(text.splitlines())
    assert any(line.startswith(first) for line in lines), first
    rows = []
    for line in lines:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_before_an_evaluation_it_says_so(run, loaded):
    card = model_card.write(run, loaded, MANIFEST)
    assert f"Not evaluated yet: `{command('eval a-run')}`" in card
    assert "not timed yet" in card
    assert "R2" not in card


def test_accuracy_and_latency_are_those_of_the_evaluation(run, loaded):
    judgement = Judgement(
        verdict="The network beats the plant.",
        columns=("", "MAE um", "R2"),
        rows=[["overall", "1.59", "0.9995"], ["x", "1.60", "n/a"]],
        sentences=("Within 2 um on average.", "Nobody could do better."),
        latency="A prediction takes 50.0 us.",
    )
    card = model_card.write(run, loaded, MANIFEST, judgement)
    rows = table_rows(card, "|  | MAE um | R2 |")
    assert rows == [["---"] * 3, ["overall", "1.59", "0.9995"], ["x", "1.60", "n/a"]]
    assert "Within 2 um on average.\nNobody could do better.\n" in card
    assert "\n## Latency\n\nA prediction takes 50.0 us.\n" in card
    assert "Not evaluated" not in card
    assert card.splitlines()[:3] == ["# Model card: a-run", "", "The network beats the plant."]


def test_inputs_data_and_files_have_their_tables(run, loaded, trained):
    known = Ranges((-1.0, -2.0, -30.0, -40.0), (1.0, 2.5, 30.0, 40.0), (0.1, 0.1), (1.0, 1.0))
    card = model_card.write(run, loaded._replace(ranges=known), MANIFEST)
    assert table_rows(card, "| Input")[2] == ["`y_ref`", "mm", "-2 to 2.5"]
    assert table_rows(card, "| Input")[4] == ["`vy_ref`", "mm/s", "-40 to 40"]
    assert table_rows(card, "| Output")[1:] == [["`error_x`", "mm"], ["`error_y`", "mm"]]
    splits = {row[0]: row[1:] for row in table_rows(card, "| Split")}
    assert splits["train"] == [
        str(len(trained.data.train.names)),
        f"{len(trained.data.train.features):,}",
    ]
    assert table_rows(card, "| File")[1:] == [
        ["`step.onnx`", "12,345", "2.5e-08 mm", "onnxruntime 9", "38.2 us"],
        ["`step.c`", "", "", "not compiled here", ""],
    ]


def test_model_is_described_by_its_own_numbers(run, loaded):
    card = model_card.write(run, loaded, MANIFEST)
    count = sum(np.size(leaf) for leaf in leaves(loaded.weights.network))
    assert f"{count:,} parameters: velocities and differences" in card
    assert "2 LSTM layers of 8 units" in card
    assert run_folder.Run(run.path).resolved().created.isoformat() in card
    assert f"\nEpoch {loaded.best_epoch} was the best on the validation split. " in card
    assert "the training has not ended" not in card
    assert "the training has not ended" in model_card.write(
        run, loaded._replace(is_finished=False), MANIFEST
    )


def test_a_smooth_path_that_no_epoch_improved_is_named(run, loaded):
    options = loaded.spec.model.model_copy(update={"path": "smooth"})
    spec = loaded.spec.model_copy(update={"model": options})
    card = model_card.write(run, loaded._replace(spec=spec, best_epoch=0), MANIFEST)
    assert "\nThe smooth path alone was the best on the validation split. " in card
    assert "Dense; on top of a regression on smooth functions of velocity." in card


def leaves(tree):
    return [x for v in tree.values() for x in leaves(v)] if isinstance(tree, dict) else [tree]


def test_calls_in_python_are_valid_code(run, loaded):
    card = model_card.write(run, loaded, MANIFEST)
    blocks = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        compile(block, "card", "exec")
    assert "Simulated" not in card
    assert "```matlab" in card
    assert "```c\n" in card
