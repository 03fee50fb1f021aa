"""What jax compiled is kept where a person's caches are, and nowhere if that is not possible."""

import os
import subprocess
import sys
import time

import pytest

from jaxcorr.cli import compiled

CODE = """\
import resource
import jax
from jaxcorr import compiled
compiled.COMMON_S = 0.0
compiled.keep()
resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, {most_bytes}))
print(jax.jit(lambda x: x @ x + {addend})(jax.numpy.ones((3, 3)))[0, 0])
"""


def compute(home, addend=1, most_bytes=-1):
    """Runs a process with this home; returns what it wrote to stdout and stderr.

    Args:
        most_bytes: that a file may have, -1 for any number.
    """
    names = os.environ.keys() - {"JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(addend=addend, most_bytes=most_bytes)],
        capture_output=True,
        text=True,
        env={name: os.environ[name] for name in names} | {"HOME": str(home)},
        check=True,
    )
    return done.stdout, done.stderr


def entries(home):
    return {path: path.stat().st_mtime_ns for path in home.glob(".cache/jaxcorr/xla/*/*-cache")}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    made = tmp_path_factory.mktemp("home")
    assert compute(made) == ("4.0\n", "")
    return made


def test_next_process_finds_what_one_compiled(home):
    before = entries(home)
    assert before
    assert compute(home) == ("4.0\n", "")
    assert entries(home) == before


def test_damaged_entry_is_compiled_again_without_a_word(home):
    for path in entries(home):
        path.write_bytes(path.read_bytes()[:10])
    assert compute(home) == ("4.0\n", "")


def test_home_that_cannot_be_written_changes_nothing(tmp_path):
    (tmp_path / "home").write_text("a file")
    assert compute(tmp_path / "home") == ("4.0\n", "")


def test_full_disk_changes_nothing(home):
    assert compute(home, addend=2, most_bytes=0) == ("5.0\n", "")


def test_folder_is_the_cache_of_a_person_and_of_a_processor(tmp_path, monkeypatch):
    found = compiled.find_folder({"XDG_CACHE_HOME": str(tmp_path)})
    assert found.parent == tmp_path / "jaxcorr" / "xla"
    assert compiled.find_folder({}).parts[-4:-1] == (".cache", "jaxcorr", "xla")
    monkeypatch.setattr(compiled, "_cpuinfo", lambda: "model name : other\nflags : none\n")
    assert compiled.find_folder({"XDG_CACHE_HOME": str(tmp_path)}) != found


def test_what_is_old_is_removed(tmp_path):
    old, young = tmp_path / "old", tmp_path / "young"
    for path, days in ((old, compiled.OLDEST_DAYS + 1), (young, compiled.OLDEST_DAYS - 1)):
        path.touch()
        os.utime(path, (time.time() - days * 86400,) * 2)
    (tmp_path / "folder").mkdir()
    compiled._remove_old(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "young"]
