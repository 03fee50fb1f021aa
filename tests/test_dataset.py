"""The data of an experiment: loaded, dealt, kept and found again."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import counters, write_circle

from jaxcorr import dataset, windows
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
    back = dataset.load_samples(tmp_path / "test.npz")
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
        np.testing.assert_array_equal(dataset.load_samples(path).features, samples.features)


def test_missing_samples_are_refused(tmp_path):
    rule = r"test\.npz: expected the run's test samples, got '.*No such file.*'\. Evaluate with"
    with pytest.raises(InputError, match=rule):
        dataset.load_samples(tmp_path / "test.npz")
