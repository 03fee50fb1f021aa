"""Windows and splits on traces whose values name their own trace and time."""

import gc
import os
import resource
from pathlib import Path

import numpy as np
import oscillator
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import counters

from jaxcorr.data import windows
from jaxcorr.data.trace import Trace
from jaxcorr.errors import InputError
from jaxcorr.spec import Data, Split

LENGTHS = st.lists(st.integers(6, 60), min_size=1, max_size=6)
RATIOS = st.sampled_from([(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.5, 0.5, 0.0), (1.0, 0.0, 0.0)])


def tabulate(lengths, parts=None, **data):
    return windows.tabulate(counters(lengths, parts), Data(traces=("x",), **data))


def names_and_parts(num_parts, per_part):
    parts = [f"part{i % num_parts}" for i in range(num_parts * per_part)]
    return [f"{part}/layer{i:03d}" for i, part in enumerate(parts)], parts


@given(LENGTHS, st.integers(-5, 5), st.integers(2, 12), st.integers(1, 7))
def test_a_window_is_one_traces_stretch_and_each_target_lies_horizon_ahead(
    lengths, horizon, window, stride
):
    samples = tabulate(lengths, horizon=horizon)
    first = np.concatenate([np.zeros(0, int), *windows.starts(samples, window, stride).values()])
    features, targets = windows.gather(samples, first, window)
    trace, time = np.divmod(features[..., 0], 1000)
    assert np.all(trace == trace[:, :1])
    assert np.all(np.diff(time, axis=1) == 1)
    np.testing.assert_array_equal(targets, features[..., :2] + horizon)
    assert np.all(targets // 1000 == trace[..., None])


@given(LENGTHS, st.integers(-5, 5), st.integers(2, 12), st.integers(1, 7))
def test_windows_are_all_that_fit_and_no_more(lengths, horizon, window, stride):
    samples = tabulate(lengths, horizon=horizon)
    found = sum(map(len, windows.starts(samples, window, stride).values()))
    usable = np.array(lengths) - abs(horizon)
    assert found == sum(max(0, 1 + (n - window) // stride) for n in usable)


def test_starts_are_kept_by_part():
    samples = tabulate([20, 20, 20, 4], ["a", "b", "a", "short"])
    first = windows.starts(samples, window=10, stride=5)
    assert {part: rows.tolist() for part, rows in first.items()} == {
        "a": [0, 5, 10, 40, 45, 50],
        "b": [20, 25, 30],
    }


def test_tables_are_float32_and_may_be_empty():
    samples = tabulate([])
    assert samples.features.shape == (0, 4)
    assert samples.targets.shape == (0, 2)
    assert samples.features.dtype == samples.targets.dtype == np.float32
    assert windows.starts(samples, 5, 1) == {}


@pytest.mark.parametrize("horizon", [8, -8])
def test_a_trace_no_longer_than_its_horizon_is_refused(horizon):
    rule = r"part/layer01.mat: expected more than \|horizon\| = 8 samples, got 8\. Drop the file"
    long, short = counters([9, 8])
    windows.check_length(long, horizon)
    with pytest.raises(InputError, match=rule):
        windows.check_length(short, horizon)


@given(st.integers(1, 4), st.integers(3, 30), RATIOS, st.integers(0, 2**31 - 1))
def test_a_split_by_trace_deals_each_trace_once_in_the_ratios(num_parts, per_part, ratios, seed):
    names, parts = names_and_parts(num_parts, per_part)
    split = Split(train=ratios[0], val=ratios[1], test=ratios[2], seed=seed)
    dealt = windows.deal(names, parts, split)
    assert sorted(sum(dealt.values(), ())) == sorted(names)
    for ratio, members in zip(ratios, (dealt[s] for s in windows.SPLITS), strict=True):
        assert bool(members) == (ratio > 0)
        assert abs(len(members) - ratio * len(names)) <= 1 or len(names) < 10


@given(st.integers(0, 2**31 - 1), st.permutations(range(60)))
def test_a_split_follows_from_its_seed_alone_not_from_the_order_of_files(seed, order):
    names, parts = names_and_parts(3, 20)
    split = Split(seed=seed)
    shuffled = windows.deal([names[i] for i in order], [parts[i] for i in order], split)
    assert shuffled == windows.deal(names, parts, split)
    for members in shuffled.values():  # ten per cent of 20 layers: every part is in every split
        assert {name.split("/")[0] for name in members} == set(parts)


def test_another_seed_deals_another_split():
    names, parts = names_and_parts(3, 20)
    dealt = {windows.deal(names, parts, Split(seed=seed))["test"] for seed in range(20)}
    assert len(dealt) > 15


@given(st.integers(3, 12), st.integers(1, 4), RATIOS, st.integers(0, 2**31 - 1))
def test_a_split_by_part_never_divides_a_part(num_parts, per_part, ratios, seed):
    names, parts = names_and_parts(num_parts, per_part)
    split = Split(by="part", train=ratios[0], val=ratios[1], test=ratios[2], seed=seed)
    dealt = windows.deal(names, parts, split)
    seen = {name: {n.split("/")[0] for n in members} for name, members in dealt.items()}
    assert sum(map(len, seen.values())) == num_parts
    assert sorted(sum(dealt.values(), ())) == sorted(names)
    assert all(bool(seen[s]) == (r > 0) for s, r in zip(windows.SPLITS, ratios, strict=True))


def test_parts_named_for_the_test_are_the_test():
    names, parts = names_and_parts(4, 2)
    dealt = windows.deal(names, parts, Split(by="part", test_parts=("part2",)))
    assert dealt["test"] == ("part2/layer002", "part2/layer006")
    assert dealt["train"]
    assert dealt["val"]


@pytest.mark.parametrize(
    ("split", "num_parts", "per_part", "message"),
    [
        (Split(), 1, 2, r"at least 3 layers for 3 splits, got 2\. Add traces of other layers, or"),
        (Split(by="part"), 2, 9, r"at least 3 parts to deal to 3 splits, got 2\. Add parts"),
        (
            Split(by="part", test_parts=("boat", "part0")),
            3,
            1,
            r"test_parts: expected some of part0, part1, part2, got boat\. Name parts that",
        ),
        (
            Split(by="part", test_parts=("part0", "part1")),
            3,
            1,
            r"at least 2 parts to deal to 2 splits, got 1\. Add parts, or split by = 'trace'",
        ),
    ],
)
def test_too_little_to_deal_is_refused(split, num_parts, per_part, message):
    names, parts = names_and_parts(num_parts, per_part)
    with pytest.raises(InputError, match=rf"^data\.split.*{message}"):
        windows.deal(names, parts, split)


def test_a_layer_at_several_speeds_is_never_divided():
    points = [f"_a{a}_v{v}" for a in (300, 500.5) for v in (60, 100)]
    names = [f"d/layer{i:02d}{point}_ender3v2" for i in range(10) for point in points]
    dealt = windows.deal(names, ["part"] * len(names), Split())
    layers = {s: {name[:9] for name in members} for s, members in dealt.items()}
    assert [len(layers[s]) for s in windows.SPLITS] == [8, 1, 1]
    assert len(set.union(*layers.values())) == 10
    for point in ("_v60", "_p50", "_a300_p12.5", "_a300_v100_p50"):
        assert windows.layer_of(f"d/layer07{point}_ender3v2") == "d/layer07_ender3v2"
        assert windows.point_of(f"d/layer07{point}_ender3v2") == point


def test_a_printed_layer_is_the_same_in_every_collection_of_its_part():
    found = {
        windows.printed_layer_of(f"data_simulation_boat_{selection}/layer07{point}_ender3v2")
        for selection in ("sampled5", "all", "layers3-9")
        for point in ("", "_p30", "_a300_v100_p50")
    }
    assert found == {"boat/layer07_ender3v2"}
    assert windows.printed_layer_of("data_simulation_bearing5_all/layer07_ender3v2") not in found


def test_traces_named_for_the_test_are_the_test_and_the_rest_is_dealt_by_layer():
    names = [f"{p}/layer{i:02d}_a{a}_m" for p in ("boat", "cube") for i in range(6) for a in (3, 5)]
    parts = [name.partition("/")[0] for name in names]
    dealt = windows.deal(names, parts, Split(test_traces=("boat/*",)))
    assert set(dealt["test"]) == {name for name in names if name.startswith("boat/")}
    assert sorted(sum(dealt.values(), ())) == sorted(names)
    layers = {s: {windows.layer_of(n) for n in dealt[s]} for s in ("train", "val")}
    assert layers["train"]
    assert layers["val"]
    assert not layers["train"] & layers["val"]
    by_accel = windows.deal(names, parts, Split(test_traces=("*_a3_*",)))
    assert {name[-4:] for name in by_accel["test"]} == {"a3_m"}
    assert {name[-4:] for name in (*by_accel["train"], *by_accel["val"])} == {"a5_m"}
    with pytest.raises(
        InputError, match=r"test_traces: expected a trace named like 'hull/\*', got"
    ):
        windows.deal(names, parts, Split(test_traces=("boat/*", "hull/*")))
    with pytest.raises(InputError, match="expected at least 2 layers for 2 splits, got 0"):
        windows.deal(names, parts, Split(test_traces=("*",)))


@pytest.fixture
def on_disk(monkeypatch, tmp_path):
    """Every table of more than a byte goes to disk, into this folder."""
    monkeypatch.setattr(windows, "MOST_IN_MEMORY", 1)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def fill(pieces, num_columns=3):
    return windows.join_rows(pieces, num_columns)


@given(st.lists(st.integers(0, 50), max_size=6), st.sampled_from([1, 64, 300, 10**6]))
def test_rows_come_back_as_they_went_in(lengths, most):
    pieces = [np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32) for n in lengths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "MOST_IN_MEMORY", most)
        found = fill(pieces)
    expected = np.concatenate([np.zeros((0, 3), np.float32), *pieces])
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    assert not found.flags.writeable


def test_a_table_on_disk_has_no_name_and_ends_with_its_last_reader(on_disk):
    table = fill([np.ones((2000, 3), np.float32)])
    assert list(on_disk.iterdir()) == []
    view = table[5:, :2]
    del table
    assert view.sum() == 2 * 1995
    assert str(on_disk) in Path("/proc/self/maps").read_text()
    del view
    gc.collect()
    assert str(on_disk) not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(("piece", "count"), [(1000, 20), (100, 84)])
def test_a_full_disk_is_one_line_and_leaves_nothing(on_disk, piece, count):
    """A limit on the size of files fails as a full disk does, in a write or at the last flush."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    rule = r"expected room for the samples, got 'File too large' after \d+ MiB\. Make room, or set"
    try:
        with pytest.raises(InputError, match=f"^{on_disk}: {rule} TMPDIR to another folder"):
            fill([np.ones((piece, 3), np.float32)] * count)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(on_disk.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_large_files_go_where_the_person_says_or_to_a_disk(monkeypatch, tmp_path):
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(windows, "LARGE_FILES", str(tmp_path))
    assert windows.folder() == str(tmp_path)
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    assert windows.folder() is None
    monkeypatch.delenv("TMPDIR")
    monkeypatch.setattr(windows, "LARGE_FILES", str(tmp_path / "missing"))
    assert windows.folder() is None


def test_a_training_from_disk_is_the_training_from_memory(on_disk, trained, layers):
    begun = oscillator.begin(layers, on_disk)
    assert str(on_disk) in Path("/proc/self/maps").read_text()
    oscillator.fit(begun)
    assert begun.data.split == trained.data.split
    for name in begun.data.split:
        for mapped, kept in zip(
            getattr(begun.data, name), getattr(trained.data, name), strict=True
        ):
            np.testing.assert_array_equal(mapped, kept)
    assert begun.run.history.read_bytes() == trained.run.history.read_bytes()
    stats = "stats.json"
    assert (begun.run.path / stats).read_bytes() == (trained.run.path / stats).read_bytes()


def test_a_trace_begins_in_motion_where_it_says_so_or_is_too_fast_for_a_start():
    features, speed = ("x_ref", "vx_ref"), np.arange(20) * 5.0
    columns = {"x_ref": np.cumsum(speed) / 100, "vx_ref": speed, "time": np.arange(20) / 100}

    def begins(params, first=0):
        fields = {name: column[first:] for name, column in columns.items()}
        return windows.begins_in_motion(Trace(Path("a/b.mat"), "a", fields, params), features)

    assert not begins({})
    assert not begins({}, first=2)
    assert begins({}, first=3)
    assert begins({"begins_in_motion": 1.0})
    assert not begins({"begins_in_motion": 0.0}, first=3)
