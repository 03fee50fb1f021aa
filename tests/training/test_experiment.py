"""Run folders from specs: whole or not there, and reopened only on the same data."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tomli
from toy import write_circle

from jaxcorr import files, spec
from jaxcorr.data import collect
from jaxcorr.errors import InputError
from jaxcorr.printer_spec import SOURCES
from jaxcorr.training import experiment, run_folder

SPEC = """\
# Question: is the folder whole?
# Command: none

[data]
traces = ["{folder}/*/*.mat"]
window = 20
"""


@pytest.fixture
def spec_path(tmp_path):
    for layer in range(8):
        write_circle(tmp_path / "data_simulation_boat_all" / f"layer{layer}.mat", 60 + layer)
    path = tmp_path / "circle.toml"
    path.write_text(SPEC.format(folder=tmp_path))
    return path


def begin(spec_path, *overrides):
    return experiment.begin(spec_path, list(overrides), spec_path.parent / "runs")


def test_a_folder_holds_all_that_a_run_needs(spec_path):
    begun = begin(spec_path)
    names = sorted(path.name for path in begun.run.path.iterdir())
    kept = ["baselines.npz", "test.npz", "test_labels.npz"]
    assert names == sorted(["resolved.json", "spec.toml", "stats.json", *kept])
    assert begun.run.id.endswith("-circle")
    assert (begun.run.path / "spec.toml").read_text() == spec_path.read_text()
    assert begun.run.spec() == begun.spec == spec.load(spec_path)
    resolved = begun.run.resolved()
    assert resolved.model_dump(mode="json")["split"] == begun.data.split
    assert resolved.fingerprint.keys() == begun.data.paths.keys()
    assert resolved.fingerprint == experiment.fingerprint(begun.spec.data)
    assert resolved.versions["jaxcorr"]


def test_scales_are_of_the_training_split_alone(spec_path):
    begun = begin(spec_path, "model.inputs=raw")
    stats = json.loads((begun.run.path / "stats.json").read_text())
    train = begun.data.train
    np.testing.assert_allclose(stats["inputs"]["mean"], train.features.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(stats["targets"]["std"], train.targets.std(axis=0), rtol=1e-4)
    assert stats["targets"]["names"] == ["error_x", "error_y"]


def test_overrides_are_kept_so_that_the_spec_gives_the_run_again(spec_path):
    begun = begin(spec_path, "train.epochs=7", "train.name=my run", "data.split.seed=3")
    assert begun.run.id.endswith("-my-run")
    kept = begun.run.path / "spec.toml"
    assert kept.read_text().startswith("# Question: is the folder whole?\n# Command: none\n")
    assert "# changed by --set train.epochs=7\n" in kept.read_text()
    assert tomli.loads(kept.read_text())["train"]["epochs"] == 7
    assert spec.load(kept) == begun.spec


def test_test_samples_stay_with_the_run_when_it_moves_and_its_traces_go(spec_path):
    begun = begin(spec_path)
    moved = run_folder.Run(begun.run.path.rename(spec_path.parent / "elsewhere"))
    shutil.rmtree(spec_path.parent / "data_simulation_boat_all")
    found = experiment.test_samples(moved, moved.spec(), [])
    np.testing.assert_array_equal(found.features, begun.data.test.features)
    assert found.names == begun.data.test.names


def test_other_traces_can_be_evaluated_on(spec_path):
    begun = begin(spec_path)
    path = write_circle(spec_path.parent / "other" / "new.mat", 99)
    found = experiment.test_samples(begun.run, begun.spec, [str(path)])
    assert found.names == ("other/new",)
    assert len(found.features) == 99


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs=-1", r"circle\.toml \[train\] epochs: expected an integer >= 0, got -1"),
        ("data.traces=/nowhere/*", r"expected files that match '/nowhere/\*', got none"),
        ("data.window=500", r"data\.window: expected at most"),
        ("data.sample_rate_hz=50", r"time: expected 50 Hz"),
    ],
)
def test_a_refused_spec_makes_no_folder(spec_path, override, message):
    with pytest.raises(InputError, match=message):
        begin(spec_path, override)
    assert not (spec_path.parent / "runs").exists()


@pytest.mark.parametrize("name", ["spec.toml", "stats.json", "resolved.json"])
@pytest.mark.parametrize(
    ("error", "seen", "message"),
    [
        (OSError(28, "No space left"), InputError, r"run's files, got 'No space left'\. Make room"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    ],
)
def test_a_full_disk_or_an_interrupt_leaves_no_folder(
    spec_path, monkeypatch, name, error, seen, message
):
    write = files.write_text

    def fail(path, text):
        if path.name == name:
            raise error
        write(path, text)

    monkeypatch.setattr(files, "write_text", fail)
    with pytest.raises(seen, match=message):
        begin(spec_path)
    assert list((spec_path.parent / "runs").iterdir()) == []


def test_a_run_is_reopened_on_the_same_split_though_files_were_added(spec_path):
    begun = begin(spec_path)
    write_circle(spec_path.parent / "data_simulation_boat_all" / "layer99.mat")
    again = experiment.reopen(begun.run)
    assert again.data.split == begun.data.split
    assert again.spec == experiment.with_recorded_devices(begun.run)
    np.testing.assert_array_equal(again.data.train.targets, begun.data.train.targets)


def test_changed_traces_are_refused_by_name(spec_path):
    begun = begin(spec_path)
    folder = spec_path.parent / "data_simulation_boat_all"
    for layer in (2, 5):
        write_circle(folder / f"layer{layer}.mat", 61)
    changed = r"data_simulation_boat_all/layer2, data_simulation_boat_all/layer5"
    with pytest.raises(InputError, match=rf"got 2 that differ: {changed}\. Bring the files back"):
        experiment.reopen(begun.run)
    (folder / "layer2.mat").unlink()
    with pytest.raises(InputError, match=r"8 traces, got none for data_simulation_boat_all/layer2"):
        experiment.reopen(begun.run)


def simulated(traces, **options):
    table = {"traces": [traces], "simulate": {"parts": ["boat"], "layers": "sampled:16", **options}}
    return spec.from_table({"data": table}, "here").data


def test_traces_are_made_where_the_pattern_means_them_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    meant = simulated("data_simulation_*_sampled16/*.mat")
    assert collect.traces_to_make(meant) == meant.simulate
    assert collect.traces_to_make(simulated("nothing*/*.mat")) is None
    stiff = simulated("data/stiff/data_simulation_*_sampled16/*.mat")
    assert collect.traces_to_make(stiff) == stiff.simulate
    assert collect.home_of(stiff) == Path("data/stiff")
    assert collect.home_of(meant) == Path()
    write_circle(tmp_path / "data_simulation_boat_sampled16" / "layer01_ender3v2.mat", 60)
    assert collect.traces_to_make(meant) == meant.simulate  # an unfinished set is completed
    write_circle(tmp_path / "data_simulation_mine_sampled16" / "layer01.mat", 60)
    assert collect.traces_to_make(meant) is None
    with pytest.raises(InputError, match=r"expected a G-code file or one of .*, got 'yacht'"):
        collect.traces_to_make(simulated("x", parts=["yacht"]))


def test_a_spec_can_change_the_simulated_printer():
    options = simulated(
        "x", layers=3, stiffness_n_m=[4000.0, 9000.0], damping="ground", sources_off=["floor"]
    ).simulate
    assert options.layers == "3"
    assert options.stiffness_n_m == (4000.0, 9000.0)
    assert options.mass_kg == (0.35, 0.45)
    assert options.damping == "ground"
    assert options.sources == SOURCES[:-1]
    with pytest.raises(
        InputError, match=r"\[data.simulate\] sources_off: expected one of .*'wobble'"
    ):
        simulated("x", sources_off=["wobble"])


def test_traces_of_another_spec_in_the_same_folder_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data_simulation_boat_sampled16"
    for layer in (1, 17, 33):
        for point in ("", "_p30", "_a3000"):
            write_circle(folder / f"layer{layer:02d}{point}_ender3v2.mat")
    plain = simulated("data_simulation_*/*.mat", parts=["boat"], layers="sampled:16")
    names = {name.split("/")[1] for name in experiment.load_data(plain).paths}
    assert names == {f"layer{layer:02d}_ender3v2" for layer in (1, 17, 33)}
    probed = simulated(
        "data_simulation_*/*.mat", parts=["boat"], layers="sampled:16", probe_um=[30.0]
    )
    assert len(experiment.load_data(probed).paths) == 6
    foreign = plain.model_copy(update={"simulate": None})
    assert len(experiment.load_data(foreign).paths) == 9
    counts = [len(experiment.fingerprint(data)) for data in (plain, probed, foreign)]
    assert counts == [3, 6, 9]


def test_a_run_repeated_from_its_own_spec_has_its_name(trained, tmp_path):
    toy = trained.spec
    toy = toy.model_copy(update={"train": toy.train.model_copy(update={"name": ""})})
    assert experiment.name_of(toy, tmp_path / "circle.toml") == "circle"
    assert experiment.name_of(toy, tmp_path / "spec.toml") == "spec"
    run = tmp_path / "20261123-014410-toy-b"
    shutil.copytree(trained.run.path, run)
    assert experiment.name_of(toy, run / "spec.toml") == "toy-b"
    named = toy.model_copy(update={"train": toy.train.model_copy(update={"name": "mine"})})
    assert experiment.name_of(named, run / "spec.toml") == "mine"
