"""Tables that grow: the same rows from memory and from disk, and nothing left behind."""

import gc
import os
import resource
from pathlib import Path

import numpy as np
import oscillator
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcorr.data import spool
from jaxcorr.data.spool import RowSpool
from jaxcorr.errors import InputError

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def on_disk(monkeypatch, tmp_path):
    """Every table of more than a byte goes to disk, into this folder."""
    monkeypatch.setattr(spool, "MOST_IN_MEMORY", 1)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def fill(pieces, num_columns=3):
    with RowSpool(num_columns) as table:
        for piece in pieces:
            table.append(piece)
        return table.finish()


def mapped_pages():
    """Pages of files in this process's memory."""
    return int(Path("/proc/self/statm").read_text().split()[2])


@given(st.lists(st.integers(0, 50), max_size=6), st.sampled_from([1, 64, 300, 10**6]))
def test_rows_come_back_as_they_went_in(lengths, most):
    pieces = [np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32) for n in lengths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "MOST_IN_MEMORY", most)
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


def test_released_rows_leave_memory_and_come_back(on_disk):
    del on_disk
    rows = np.arange(6 * 2**20, dtype=np.float32).reshape(-1, 3)  # 24 MiB
    table = fill([rows])
    size = rows.nbytes // PAGE
    before = mapped_pages()
    np.testing.assert_array_equal(table, rows)
    read = mapped_pages()
    spool.release(table[:, 1:])  # a view says it for the table
    after = mapped_pages()
    assert read - before > 0.9 * size
    assert read - after > 0.9 * size
    np.testing.assert_array_equal(table, rows)


def test_release_leaves_what_is_in_memory_alone():
    for rows in (fill([np.ones((4, 3), np.float32)]), np.ones((4, 3))):
        spool.release(rows)
        assert rows.sum() == 12


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
    monkeypatch.setattr(spool, "LARGE_FILES", str(tmp_path))
    assert spool.folder() == str(tmp_path)
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    assert spool.folder() is None
    monkeypatch.delenv("TMPDIR")
    monkeypatch.setattr(spool, "LARGE_FILES", str(tmp_path / "missing"))
    assert spool.folder() is None


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
