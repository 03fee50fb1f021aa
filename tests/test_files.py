"""Files: whole or not at all."""

import errno
import json
import os

import numpy as np
import pytest
import scipy.io

from jaxcorr import files
from jaxcorr.errors import InputError


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
    found = files.load_arrays(path, ("a", "b"), "arrays", "Make them again.")
    assert found.keys() == {"a", "b"}
    assert (found["a"].tolist(), float(found["b"])) == ([0, 1, 2], 2.5)
    for name, content in (("c", path.read_bytes()), ("a", b"damaged")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"some\.npz: expected arrays, got '.*'\. Make them"):
            files.load_arrays(path, (name,), "arrays", "Make them again.")


def test_columns_are_written_in_both_forms(tmp_path):
    columns = {"time": np.arange(3.0), "x": np.ones(3)}
    mat, npz = files.save_columns(tmp_path, "a.b", "table", columns, {"run": "r"})
    assert (mat.name, npz.name) == ("a.b.mat", "a.b.npz")
    struct = scipy.io.loadmat(mat, simplify_cells=True)["table"]
    assert struct.keys() == {"time", "x", "run"}
    np.testing.assert_array_equal(struct["time"], columns["time"])
    np.testing.assert_array_equal(np.load(npz)["x"], columns["x"])
