"""The data of an experiment: loaded, dealt, kept and found again."""

import contextlib
import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import counters, write_circle

from jaxcorr.data import dataset, windows
from jaxcorr.errors import InputError
from jaxcorr.spec import Data


@pytest.fixture
def data(tmp_path):
    for part in ("boat", "cube"):
        for layer in range(6):
            write_circle(tmp_path / f"data_simulation_{part}_all" / f"layer{layer}.mat", 60 + layer)
    return Data(traces=(f"{tmp_path}/*/*.mat",), window=20)


def test_every_trace_is_in_one_split_with_its_file(data):
    found = dataset.load(data)
    names = [name for members in found.split.values() for name in members]
    assert sorted(names) == sorted(found.paths)
    assert len(set(names)) == 12
    assert found.train.parts == tuple(n.split("_")[2] for n in found.train.names)
    assert all(found.paths[name].is_file() for name in names)
    assert sum(len(samples.features) for samples in found[:3]) == 2 * sum(range(60, 66))


def test_an_earlier_split_is_kept_when_files_come_or_the_seed_changes(data, tmp_path):
    first = dataset.load(data)
    write_circle(tmp_path / "data_simulation_boat_all" / "layer9.mat")
    other = data.model_copy(update={"split": data.split.model_copy(update={"seed": 5})})
    again = dataset.load(other, first.split)
    assert again.split == first.split
    np.testing.assert_array_equal(again.train.features, first.train.features)


def test_missing_traces_of_an_earlier_split_are_named(data, tmp_path):
    first = dataset.load(data)
    (tmp_path / "data_simulation_cube_all" / "layer3.mat").unlink()
    rule = r"expected the run's 12 traces, got none for data_simulation_cube_all/layer3\. Bring"
    with pytest.raises(InputError, match=rf"^data\.traces: {rule}"):
        dataset.load(data, first.split)


@pytest.mark.parametrize(("horizon", "most"), [(0, 65), (5, 60), (-5, 60)])
def test_a_window_longer_than_every_trace_is_refused(data, horizon, most):
    long = data.model_copy(update={"window": most + 1, "horizon": horizon})
    split = {"train": dataset.load(data).split["train"], "val": [], "test": []}
    split["train"] = sorted(dataset.load(data).paths)
    rule = rf"at most the longest training trace's {most} targets, got {most + 1}\. Choose"
    with pytest.raises(InputError, match=rf"^data\.window: expected {rule}"):
        dataset.load(long, split)
    dataset.load(data.model_copy(update={"window": most, "horizon": horizon}), split)


def test_two_traces_of_one_name_are_refused(data, tmp_path):
    write_circle(tmp_path / "more" / "data_simulation_boat_all" / "layer1.mat")
    both = data.model_copy(update={"traces": (*data.traces, f"{tmp_path}/more/*/*.mat")})
    with pytest.raises(InputError, match=r"got the same as .*layer1\.mat\. Rename one"):
        dataset.load(both)


def test_traces_that_came_later_are_not_even_read(data, tmp_path):
    first = dataset.load(data)
    (tmp_path / "data_simulation_boat_all" / "layer9.mat").write_text("no trace")
    assert dataset.load(data, first.split).paths == first.paths
    with pytest.raises(InputError, match=r"layer9\.mat: expected a MATLAB file"):
        dataset.load(data)


def test_every_bad_file_is_named_at_once_and_a_common_problem_once(data, tmp_path):
    folder = tmp_path / "data_simulation_boat_all"
    for layer in (5, 2, 0):
        write_circle(folder / f"layer{layer}.mat", error_x=None)
    write_circle(folder / "layer3.mat", time=np.arange(200) / 20)
    write_circle(tmp_path / "data_simulation_cube_all" / "layer1.mat", 4)
    ahead = data.model_copy(update={"horizon": 9})
    for read in (dataset.load, lambda data: dataset.load_all(data, data.traces)):
        with pytest.raises(InputError) as caught:
            read(ahead)
        fields, rate, short = str(caught.value).splitlines()
        assert fields.startswith(f"{folder}/layer0.mat and 2 more: expected field 'error_x' in")
        assert rate.startswith(f"{folder}/layer3.mat: time: expected 100 Hz +-1%, got 20 Hz")
        assert "cube_all/layer1.mat: expected more than |horizon| = 9 samples, got 4." in short


@pytest.mark.parametrize("is_refused", [False, True])
def test_no_more_than_a_few_traces_are_in_memory_at_once(tmp_path, monkeypatch, is_refused):
    monkeypatch.setattr(windows, "MOST_IN_MEMORY", 1)
    more = {f"source{i}": np.random.default_rng(i).normal(size=2000) for i in range(25)}
    folder = tmp_path / "data_simulation_boat_all"
    original = write_circle(folder / "layer00.mat", 2000, **more)
    for i in range(1, 40):
        os.link(original, folder / f"layer{i:02d}.mat")
    if is_refused:
        write_circle(folder / "layer40.mat", error_x=None)
    data = Data(traces=(f"{folder}/*.mat",))
    dataset.load_all(data, [str(original)])  # what the libraries keep from their first call
    tracemalloc.start()
    with contextlib.suppress(InputError) if is_refused else contextlib.nullcontext():
        dataset.load(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    one_trace = 8 * 2000 * (7 + len(more))
    assert peak < 5 * one_trace


def test_load_all_deals_nothing(data):
    assert len(dataset.load_all(data, list(data.traces)).names) == 12


def test_the_fingerprint_follows_the_bytes(data, tmp_path):
    before = dataset.fingerprint(dataset.load(data))
    assert before == dataset.fingerprint(dataset.load(data))
    write_circle(tmp_path / "data_simulation_boat_all" / "layer0.mat", 61)
    after = dataset.fingerprint(dataset.load(data))
    assert {n for n in before if before[n] != after[n]} == {"data_simulation_boat_all/layer0"}


def tabulate(lengths, horizon):
    return windows.tabulate(counters(lengths), Data(traces=("x",), horizon=horizon))


@pytest.mark.parametrize("lengths", [[], [9], [30, 40, 20]])
@pytest.mark.parametrize("horizon", [-2, 0, 3])
def test_samples_that_were_kept_come_back_the_same(tmp_path, lengths, horizon):
    samples = tabulate(lengths, horizon)
    dataset.save_samples(tmp_path / "test.npz", samples)
    assert [p.name for p in tmp_path.iterdir()] == ["test.npz"]
    back = dataset.load_samples(tmp_path / "test.npz", Data(traces=("x",), horizon=horizon))
    for before, after in zip(samples, back, strict=True):
        np.testing.assert_array_equal(before, after)
    assert (back.names, back.parts, back.lead) == (samples.names, samples.parts, samples.lead)


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 0.999), value=st.none() | st.integers(0, 255))
def test_damaged_samples_are_refused_or_whole(tmp_path_factory, share, value):
    path = tmp_path_factory.mktemp("bent") / "test.npz"
    samples = tabulate([30, 40], 0)
    dataset.save_samples(path, samples)
    content = bytearray(path.read_bytes())
    place = int(share * len(content))
    content[place:] = b"" if value is None else bytes([value]) + content[place + 1 :]
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        np.testing.assert_array_equal(
            dataset.load_samples(path, Data(traces=("x",))).features, samples.features
        )


def test_samples_of_another_form_are_refused(tmp_path):
    path, samples = tmp_path / "test.npz", tabulate([30, 40], 0)
    for change, said in (
        ({"features": samples.features[:, :3]}, r"features: expected finite numbers of shape \(7"),
        ({"targets": samples.targets * np.nan}, r"targets: expected finite numbers of .*not finit"),
        (
            {"first_row": samples.first_row + 0.5},
            "first_row: expected integers of",
        ),
        ({"num_rows": samples.num_rows + 1}, "expected traces of float32 end to end, 0 rows"),
        ({"targets": samples.targets.astype(int)}, "expected traces of float32"),
        ({"num_rows": samples.num_rows[:1]}, r"num_rows: expected integers of shape \(2\)"),
    ):
        dataset.save_samples(path, samples._replace(**change))
        with pytest.raises(InputError, match=rf"test\.npz: {said}"):
            dataset.load_samples(path, Data(traces=("x",)))


def test_missing_samples_are_refused(tmp_path):
    rule = r"test\.npz: expected the run's test samples, got 'No such file or directory'\. Eval"
    with pytest.raises(InputError, match=rule):
        dataset.load_samples(tmp_path / "test.npz", Data(traces=("x",)))


def test_checksums_are_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert dataset.checksums({"name": tmp_path / "a"}) == {"name": known}
