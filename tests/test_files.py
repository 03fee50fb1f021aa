"""Files: whole or not at all."""

import errno
import json
import os

import pytest

from jaxcorr import files


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
