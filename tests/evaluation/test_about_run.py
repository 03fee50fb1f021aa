"""Words about a run: what was trained, on what, and how far its figures can be trusted."""

import json

import evaluations
import oscillator
import pytest

from jaxcorr.evaluation import about_run
from jaxcorr.run_records import Resolved, Split

RESOLVED = Resolved.model_validate_json(json.dumps(evaluations.resolved(oscillator.make_spec())))


def test_what_was_trained_is_told_with_counts_and_versions():
    rows = dict(about_run.training_rows(oscillator.make_spec(), RESOLVED, 12_345, 7, 5, "none"))
    assert rows["Split"].endswith(
        "train 2 traces, 2,000 samples; val 1 trace, 100 samples; test 0 traces, 0 samples"
    )
    assert "12,345 parameters" in rows["Network"]
    assert rows["Training"].endswith("7 of at most 12 epochs; the best is used: epoch 5")
    assert rows["Commit"] == "abc, with changes that were not committed"
    assert rows["Versions"] == "Python 3.11, jax 1.2"
    assert rows["Data"].endswith("100 Hz: a b")
    assert rows["Machine"] == "fast, 2 cores, some"
    assert rows["Predicts"] == "the error at the newest sample"


@pytest.mark.parametrize(
    ("asked", "path", "best_epoch", "end"),
    [
        ("smooth", "smooth", 0, " epochs; the best is used: the smooth path alone"),
        ("smooth", "smooth", 3, " epochs; the best is used: epoch 3"),
        ("none", "none", 0, " epochs; the best is used: the untrained network"),
        ("plant", "plant", 0, " epochs; the best is used: the plant alone"),
        ("plant", "none", 0, " epochs; the best is used: the untrained network"),
    ],
)
def test_a_path_is_named_where_it_runs_and_counts_as_epoch_zero(asked, path, best_epoch, end):
    spec = oscillator.make_spec(model={"path": asked})
    rows = dict(about_run.training_rows(spec, RESOLVED, 1, 7, best_epoch, path))
    assert rows["Training"].endswith(f"7 of at most 12{end}")
    beside = {"smooth": "beside a smooth regression", "plant": "beside the identified plant"}
    assert rows["Network"].endswith(beside.get(path, "inputs"))


SPLIT = Split(train=("p/1", "p/2"), val=("p/3",), test=("p/4",))


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("p/4",), "1 test trace that it was not trained on"),
        (("p/4", "p/2"), "2 traces (1 of them from its training and validation)"),
        (("q/1", "q/2"), "2 traces"),
    ],
)
def test_only_unseen_traces_are_called_so(names, text):
    assert about_run.judged_on(names, SPLIT) == text


def test_limits_follow_from_data_and_split():
    own = " ".join(about_run.limits(oscillator.make_spec(), ("p/4",), SPLIT, True))
    assert "other layers of the same parts" in own
    assert "of only 1 layer, so" in own
    assert "simulated" not in own
    by_part = oscillator.make_spec(data={"split": {"by": "part"}})
    assert "same parts" not in " ".join(about_run.limits(by_part, ("p/4",), SPLIT, True))
    variants = tuple(f"q/layer{i}{p}_ender3v2" for i in range(4) for p in ("", "_p30", "_p100"))
    assert "of only 4 layers, so" in " ".join(about_run.limits(by_part, variants, SPLIT, True))
    many = tuple(f"q/{i}" for i in range(20))
    foreign = " ".join(about_run.limits(by_part, many, SPLIT, True))
    assert "not the run's own test split" in foreign
    assert "only" not in foreign.split("not the run's")[0]
    simulated = oscillator.make_spec(data={"simulate": {"parts": ["boat"]}})
    assert "errors are simulated" in about_run.limits(simulated, ("p/4",), SPLIT, True)[0]
    assert "training has not ended" in about_run.limits(by_part, many, SPLIT, False)[0]
    assert "ended" not in own
