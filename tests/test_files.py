"""Files: whole or not at all."""

import errno
import json
import os
import struct
import zipfile

import numpy as np
import pytest
import scipy.io

from jaxcorr import files
from jaxcorr.errors import InputError
from jaxcorr.files import Array


def test_a_file_gets_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "a b.json"
    with files.write_whole(path) as partial:
        partial.write_text("1")
        assert not path.exists()
        assert partial.suffix == ".json"
        assert partial.parent == tmp_path
    assert path.read_text() == "1"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = tmp_path / "kept.txt"
    files.write_text(path, "earlier")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "half way \ud800")
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_the_error_that_is_seen(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.write_text(tmp_path / "none" / "a.txt", "text")


def test_json_refuses_what_json_cannot_say(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "a.json", {"r2": float("nan")})
    assert not list(tmp_path.iterdir())
    files.write_json(tmp_path / "a.json", {"µ": 1.5})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"µ": 1.5}


def test_a_full_disk_names_the_file_that_was_meant(tmp_path):
    path = tmp_path / "page.html"
    with pytest.raises(OSError, match="No space left") as caught, files.write_whole(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(path)


def test_a_folder_that_takes_no_files_is_named_and_a_good_one_stays_as_it_was(tmp_path):
    files.check_folder(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError) as caught:
        files.check_folder(tmp_path / "none")
    assert caught.value.filename == str(tmp_path / "none")


def test_arrays_come_back_the_same_or_are_refused(tmp_path):
    path = tmp_path / "some.npz"
    files.save_arrays(path, {"a": np.arange(3), "b": 2.5, "more": "text"})
    wanted = {"a": Array("i", (3,)), "b": Array("f")}
    found = files.load_arrays(path, wanted, "arrays", "Make them again.")
    assert found.keys() == {"a", "b"}
    assert (found["a"].tolist(), float(found["b"])) == ([0, 1, 2], 2.5)
    for name, content in (("c", path.read_bytes()), ("a", b"damaged")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"some\.npz: expected arrays, got '.*'\. Make them"):
            files.load_arrays(path, {name: Array("i", (3,))}, "arrays", "Make them again.")


def test_an_array_file_takes_no_more_memory_than_is_allowed(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    files.save_arrays(path, {"a": np.zeros(1 << 21)})  # 16 MiB in 16 KiB
    monkeypatch.setenv(files.MOST_VARIABLE, "8")
    with pytest.raises(
        InputError, match=r"at most 8 MiB in memory, got 16 MiB\. .*JAXCORR_MOST_MIB"
    ):
        files.load_arrays(path, {"a": Array("f", ("n",))}, "arrays", "Make them again.")
    monkeypatch.setenv(files.MOST_VARIABLE, "many")
    with pytest.raises(InputError, match="expected a number of MiB above 0, got 'many'"):
        files.most_bytes()


def test_a_header_that_claims_more_than_there_is_is_refused(tmp_path):
    path = tmp_path / "claim.npz"
    header = (
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000,), }".ljust(117) + b"\n"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header + bytes(8))
    with pytest.raises(InputError, match="claims 1000000000 values of float64"):
        files.load_arrays(path, {"a": Array("f", ("n",))}, "arrays", "Make them again.")


def test_a_header_that_does_not_end_is_damage(tmp_path):
    path, header = tmp_path / "arrays.npz", b"{'descr': '<f4', 'shape': (3,\n"
    with zipfile.ZipFile(path, "w") as archive:
        prefix = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
        archive.writestr("a.npy", prefix + header + bytes(12))
    with pytest.raises(InputError, match=r"expected arrays, got '.*EOF.*'\. Make them again"):
        files.load_arrays(path, {"a": Array("f", ("n",))}, "arrays", "Make them again.")


def test_text_that_would_fill_memory_is_not_read(tmp_path):
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(40 << 20)
    with pytest.raises(InputError, match=r"expected at most 1,024 MiB in memory, got 1,200 MiB\."):
        files.read_bytes(tmp_path / "a.json", "text", "Remove it.")


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="expected text, got 'a pipe or a device, no file'"):
        files.read_bytes(tmp_path / "pipe", "text", "Remove it.")
    with pytest.raises(InputError, match="expected text, got 'a folder, no file'"):
        files.read_bytes(tmp_path, "text", "Remove it.")


def test_what_dead_processes_left_is_removed_and_what_living_ones_make_stays(tmp_path):
    dead, host = 2**22 + 1, files.HOST
    for name in (
        f".a.{host}.{dead}.partial.json",
        f".b.{host}.{os.getpid()}.partial",
        ".c.partial",
    ):
        (tmp_path / name).touch()
    (tmp_path / f".report.{host}.{dead}.partial").mkdir()
    (tmp_path / f".export.{host}.{dead}.old").mkdir()  # killed between two names
    (tmp_path / f".latest.{host}.{dead}.partial").symlink_to(tmp_path)
    files.write_text(tmp_path / "a.txt", "a")  # the first file that is written there
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {f".b.{host}.{os.getpid()}.partial", ".c.partial", "export", "a.txt"}


def test_columns_are_written_in_both_forms(tmp_path):
    columns = {"time": np.arange(3.0), "x": np.ones(3)}
    mat, npz = files.save_columns(tmp_path, "a.b", "table", columns, {"run": "r"})
    assert (mat.name, npz.name) == ("a.b.mat", "a.b.npz")
    struct = scipy.io.loadmat(mat, simplify_cells=True)["table"]
    assert struct.keys() == {"time", "x", "run"}
    np.testing.assert_array_equal(struct["time"], columns["time"])
    np.testing.assert_array_equal(np.load(npz)["x"], columns["x"])


def test_a_scratch_folder_goes_and_so_does_a_killed_process_s(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed = tmp_path / f".jaxcorr.{files.HOST}.999999999.partial.x"
    killed.mkdir()
    with files.scratch_folder() as folder:
        (folder / "a").touch()
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []
