"""A lock excludes others while its process lives, and no longer."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxcorr.errors import InputError
from jaxcorr.training import locks

HOLD = """
import sys, time
from pathlib import Path
from jaxcorr.training import locks
with locks.hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

LEASE = "mode=lease", f"token={7:032x}", "duration=60.0"
FAR = "filelock/2", "pid=7", "host=far", *LEASE


@pytest.fixture
def other(tmp_path):
    """Another process that holds tmp_path/x.lock."""
    arguments = [sys.executable, "-c", HOLD, str(tmp_path / "x.lock")]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def leave_behind(path: Path, age_s: float, lines: tuple[str, ...] = FAR) -> None:
    """The file of a process, by default on another host, renewed so long ago."""
    path.write_text("".join(f"{line}\n" for line in lines))
    os.utime(path, (time.time() - age_s,) * 2)


def test_lock_names_its_holder_and_ends_with_the_block(tmp_path):
    path = tmp_path / "x.lock"
    assert locks.holder(path) is None
    with locks.hold(path):
        assert (locks.holder(path) or "").startswith(f"process {os.getpid()} on ")
        with pytest.raises(InputError, match="no other process works in"), locks.hold(path):
            pass
        assert locks.holder(path)
    assert not path.exists()
    with locks.hold(path):
        pass


def test_killed_process_lets_go_at_once(tmp_path, other):
    path = tmp_path / "x.lock"
    assert locks.holder(path) == f"process {other.pid} on {os.uname().nodename}"
    with pytest.raises(InputError, match=f"process {other.pid}"), locks.hold(path):
        pass
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert path.exists()
    assert locks.holder(path) is None
    with locks.hold(path):
        pass


def test_lock_of_another_host_counts_until_nobody_renews_it(tmp_path, monkeypatch):
    path = tmp_path / "x.lock"
    leave_behind(path, 0.5 * locks.STALE_S)
    assert locks.holder(path) == "process 7 on far"
    with pytest.raises(InputError, match="process 7 on far"), locks.hold(path):
        pass
    leave_behind(path, 2 * locks.STALE_S)
    assert locks.holder(path) is None
    path.write_text(path.read_text().replace("60.0", "1.0"))
    os.utime(path, (0, 0))
    monkeypatch.setattr(locks, "STALE_S", 1.0)
    monkeypatch.setattr(locks, "RENEW_S", 0.1)
    with locks.hold(path):
        assert (locks.holder(path) or "").startswith(f"process {os.getpid()} ")


def test_locks_of_killed_processes_are_removed(tmp_path):
    for name, age_s in (("begun", 2 * locks.BEGUN_S), ("beginning", 0.0)):
        leave_behind(tmp_path / f"{name}.lock", age_s, ())
    killed = ("filelock/2", "pid=999999999", f"host={os.uname().nodename}", *LEASE)
    leave_behind(tmp_path / "killed.lock", 0.0, killed)
    leave_behind(tmp_path / "far.lock", 0.0)
    with locks.hold(tmp_path / "mine.lock"):
        locks.remove_dead(tmp_path)
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {"mine.lock", "far.lock", "beginning.lock"}


def test_held_lock_is_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "RENEW_S", 0.01)
    path = tmp_path / "x.lock"
    with locks.hold(path):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 5
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - path.stat().st_mtime < 60


def test_folder_that_refuses_files_is_named(tmp_path):
    (tmp_path / "file").touch()
    rule = "expected a folder that can be written, got 'File exists"
    with pytest.raises(InputError, match=rule), locks.hold(tmp_path / "file" / "x.lock"):
        pass
