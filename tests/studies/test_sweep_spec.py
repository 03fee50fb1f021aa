"""A sweep spec is refused as a spec is: every mistake at once, in the house's words."""

from pathlib import Path

import oscillator
import pytest
import tomli_w

from jaxcorr.errors import InputError
from jaxcorr.studies import sweep_spec

GOOD = {"optimizer.learning_rate": [1e-3, 1e-2], "model.num_layers": [1, 2, 3]}


def write(folder: Path, space: object, base_sections: dict | None = None, **keys: object) -> Path:
    base = folder / "base.toml"
    base.write_text(tomli_w.dumps(oscillator.make_table("none", **(base_sections or {}))))
    table = {"base": str(base), "sampler": "grid", "space": space} | keys
    path = folder / "trial.toml"
    path.write_text(tomli_w.dumps({"sweep": {k: v for k, v in table.items() if v is not None}}))
    return path


def refusals(path: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        sweep_spec.load(path)
    return str(caught.value).splitlines()


def test_grid_counts_its_points_and_trials_may_cut_it(tmp_path):
    assert sweep_spec.load(write(tmp_path, GOOD)).num_trials == 6
    assert sweep_spec.load(write(tmp_path, GOOD, trials=4)).num_trials == 4
    assert sweep_spec.load(write(tmp_path, GOOD, trials=40)).num_trials == 6


def test_bare_dotted_keys_mean_the_same_as_quoted_ones(tmp_path):
    nested = {"optimizer": {"learning_rate": [1e-3, 1e-2]}, "model": {"num_layers": [1, 2, 3]}}
    quoted = sweep_spec.load(write(tmp_path, GOOD))
    assert sweep_spec.load(write(tmp_path, nested)).parameters == quoted.parameters


def test_range_of_an_integer_key_is_of_integers(tmp_path):
    space = {
        "model.hidden_size": {"low": 4, "high": 16, "log": True},
        "model.dropout": {"low": 0.0, "high": 0.5},
    }
    loaded = sweep_spec.load(write(tmp_path, space, sampler="tpe", trials=5))
    assert [(p.key, p.is_integer) for p in loaded.parameters] == [
        ("model.dropout", False),
        ("model.hidden_size", True),
    ]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"model.hiden_size": [4]}, "[model]: unknown key 'hiden_size'; did you mean"),
        ({"model.hidden_size": [4, 0]}, "hidden_size: expected an integer >= 1, got 0."),
        ({"model.hidden_size": [4.5]}, "hidden_size: expected an integer, got 4.5."),
        ({"loss.name": ["mae", "huber"]}, "expected one of 'mae', 'mse', 'hybrid', got 'huber'."),
        ({"epochs": [4]}, "epochs: expected section.key, got 'epochs'."),
        ({"train.epochs": 4}, "train.epochs: expected a list of values or {low, high, log}, got 4"),
        ({"train.epochs": []}, "train.epochs: expected a list of values or {low, high, log}"),
        ({"train.epochs": [4, 4]}, "train.epochs: expected different values, got 4 twice."),
        ({"data.features": [["x_ref"]]}, "expected numbers, strings or booleans, got ['x_ref']."),
        ({"model.dropout": {"low": 0.0, "high": 0.1}}, "with sampler 'grid', got a range."),
        ({}, "[sweep.space]: expected keys of the base spec, got none."),
    ],
)
def test_bad_entry_of_the_space_is_refused(tmp_path, space, message):
    lines = refusals(write(tmp_path, space))
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"low": 0.2, "high": 0.1}, "model.dropout: expected low < high, got 0.2 and 0.1."),
        ({"low": 0.0, "high": 0.1, "log": True}, "low: expected a number > 0 with log, got 0."),
        ({"low": 0.0, "high": 1.5}, "[model] dropout: expected a number < 1, got 1.5."),
        ({"low": 0.0, "hi": 0.1}, "model.dropout: unknown key 'hi'; did you mean 'high'?"),
        ({"low": 0.0}, "model.dropout: expected key 'high', got none."),
    ],
)
def test_bad_range_is_refused(tmp_path, entry, message):
    lines = refusals(write(tmp_path, {"model.dropout": entry}, sampler="tpe", trials=5))
    assert any(message in line for line in lines)


def test_all_mistakes_come_at_once(tmp_path):
    path = write(tmp_path, {"model.dropout": [2.0], "x": [1]}, sampler="tpe", seed=-1, sed=1)
    lines = refusals(path)
    assert all(line.startswith(str(path)) for line in lines)
    for part in ("seed: expected", "unknown key 'sed'", "dropout: expected", " x: exp", "trials:"):
        assert sum(part in line for line in lines) == 1, part
    assert len(lines) == 5


def test_base_spec_without_validation_is_refused(tmp_path):
    sections = {"data": {"split": {"train": 0.8, "val": 0.0, "test": 0.2}}}
    (line,) = refusals(write(tmp_path, GOOD, sections))
    assert "[sweep] base: expected a spec with data.split.val > 0, got 0." in line


def test_mistakes_of_the_base_spec_are_its_own(tmp_path):
    (line,) = refusals(write(tmp_path, GOOD, {"train": {"epochs": -1}}))
    expected = f"{tmp_path}/base.toml [train] epochs: expected an integer >= 0, got -1."
    assert line.startswith(expected)
    assert "expected a spec file, got none" in refusals(write(tmp_path, GOOD, base="no.toml"))[0]


def test_shipped_sweeps_are_good(monkeypatch):
    monkeypatch.chdir(Path(__file__).parent.parent.parent)
    loaded = sweep_spec.load(Path("specs/sweep_reference.toml"))
    assert loaded.num_trials == 3**5
    assert sweep_spec.load(Path("specs/sweep_tpe.toml")).num_trials == 40
