"""Leaving out parts and sweep points: folds that cover every trace once, and their means."""

import evaluations
import oscillator
import pytest
import tomli_w
import toy

from jaxcorr import files, spec
from jaxcorr.data import trace, windows
from jaxcorr.errors import InputError
from jaxcorr.spec import Data
from jaxcorr.studies import leave_out
from jaxcorr.studies.leave_out import Fold
from jaxcorr.training.run_folder import Run


@pytest.fixture
def data(tmp_path):
    """Two parts of two layers, each at two accelerations."""
    for part in ("boat", "cube"):
        for layer in range(2):
            for accel in (300, 2000):
                path = tmp_path / f"data_simulation_{part}_all" / f"layer{layer}_a{accel}_m.mat"
                trace.write(path, toy.circle(20), {"plan": {"accel_mm_s2": accel}})
    return Data(traces=(f"{tmp_path}/data_*/*.mat",))


@pytest.mark.parametrize(
    ("by", "labels"), [("part", ["boat", "cube"]), ("acceleration", ["300 mm/s2", "2000 mm/s2"])]
)
def test_folds_cover_every_trace_once(data, by, labels):
    folds = leave_out.plan_folds(data, by)
    assert [fold.label for fold in folds] == labels
    names = [name for fold in folds for name in fold.traces]
    assert sorted(names) == sorted(trace.name_of(path) for path in trace.find(data.traces))


def test_one_fold_is_no_cross_validation(data, tmp_path):
    with pytest.raises(
        InputError, match=r"--by feedrate: expected traces of at least 2.* got none"
    ):
        leave_out.plan_folds(data, "feedrate")
    boats = Data(traces=(f"{tmp_path}/data_simulation_boat_all/*.mat",))
    with pytest.raises(InputError, match=r"--by part: expected traces of at least 2.* got boat\."):
        leave_out.plan_folds(boats, "part")


def test_folds_are_also_named_trace_by_trace(data):
    folds = leave_out.name_folds(data, ["fast=*_a2000_m"])
    assert [(fold.label, len(fold.traces)) for fold in folds] == [("fast", 4)]
    (fold,) = leave_out.name_folds(data, ["both =*boat_all/layer1_a300_m,*cube*"])
    assert (fold.label, len(fold.traces)) == ("both", 5)
    with pytest.raises(InputError, match=r"--leave-out: expected LABEL=PATTERN,PATTERN, got 'x'"):
        leave_out.name_folds(data, ["x"])
    with pytest.raises(InputError, match=r"--leave-out: expected a trace named like '\*zz'"):
        leave_out.name_folds(data, ["x=*zz"])


def test_traces_of_other_accelerations_in_the_folder_are_in_no_fold(tmp_path):
    simulate = {"parts": ("3dbenchy",), "accel_mm_s2": (300,), "layers": "all"}
    home = tmp_path / "data_simulation_3dbenchy_all"
    for accel in (300, 2000):
        trace.write(home / f"layer01_a{accel}_ender3v2.mat", toy.circle(20), {})
    made = Data(traces=(f"{home}/*.mat",), simulate=simulate)
    (fold,) = leave_out.name_folds(made, ["all=*"])
    assert fold.traces == (f"{home.name}/layer01_a300_ender3v2",)


def test_changes_make_the_fold_the_test_split(data, tmp_path):
    path = tmp_path / "base.toml"
    table = oscillator.make_table(data.traces[0], data={"split": {"by": "part"}})
    path.write_text(tomli_w.dumps(table))
    for fold in leave_out.plan_folds(data, "acceleration"):
        loaded = spec.load(path, leave_out.changes(fold, "toy"))
        names = [trace.name_of(p) for p in trace.find(data.traces)]
        parts = [trace.part_of(p) for p in trace.find(data.traces)]
        dealt = windows.deal(names, parts, loaded.data.split)
        assert sorted(dealt["test"]) == sorted(fold.traces)
        assert loaded.train.name == f"toy-without-{fold.label.replace('/', '').replace(' ', '')}"


def test_brackets_in_names_are_no_patterns():
    (change,) = [c for c in leave_out.changes(Fold("a", ("p[1]/l",)), "n") if "test_traces" in c]
    assert change == 'data.split.test_traces=["p[[]1]/l"]'


def test_means_count_each_fold_the_same(tmp_path):
    files.write_json(tmp_path / "metrics.json", evaluations.TABLE)
    read = leave_out.outcome(Fold("boat", ("a", "b")), Run(tmp_path))
    assert (read.label, read.num_samples, read.explained_share) == ("boat", 1234, None)
    other = read.model_copy(update={"r2": 0.79, "mae_mm": 0.004})
    mean = leave_out.average([read, other])
    assert mean.r2 == pytest.approx(0.89)
    assert mean.mae_mm == pytest.approx(0.003)
    assert (mean.rmse_ratio, mean.explained_share) == (3.0, None)
    undefined = read.model_copy(update={"r2": None})
    assert leave_out.average([undefined, other]).r2 is None
