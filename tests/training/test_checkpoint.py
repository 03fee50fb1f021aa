"""Checkpoints: whole or not at all, and a damaged one is noticed and passed over."""

import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr.errors import InputError
from jaxcorr.training import checkpoint
from jaxcorr.training.checkpoint import Writer

BEST = {"w": jax.random.normal(jax.random.key(0), (40, 40))}


def state_at(step):
    return {"step": jnp.int32(step), "w": BEST["w"] * step}


def save(folder, *steps, keep=2, last=-1):
    with Writer(folder, keep, last) as writer:
        for step in steps:
            writer.save(step, state_at(step), BEST, {"epoch": step})


def restore(folder):
    return checkpoint.restore(folder, state_at(0), BEST)


def data_file(folder, step, item):
    """The file that holds an item's arrays: the largest."""
    files = [path for path in (folder / str(step) / item).rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_round_trip_keeps_every_bit_and_the_last_few(tmp_path):
    save(tmp_path, 1, 2, 3)
    assert checkpoint.steps(tmp_path) == [2, 3]
    saved = restore(tmp_path)
    assert (saved.step, saved.progress, saved.skipped) == (3, {"epoch": 3}, ())
    jax.tree.map(np.testing.assert_array_equal, (saved.state, saved.best), (state_at(3), BEST))
    alone = checkpoint.restore_best(tmp_path, BEST)
    np.testing.assert_array_equal(alone.best["w"], BEST["w"])
    assert (alone.state, alone.progress) == (None, {"epoch": 3})


@pytest.mark.parametrize("item", ["state", "best", "progress"])
@pytest.mark.parametrize("damage", [flip_a_bit, cut_off, Path.unlink])
def test_a_damaged_newest_one_is_passed_over_and_named(tmp_path, item, damage):
    save(tmp_path, 1, 2)
    damage(data_file(tmp_path, 2, item))
    saved = restore(tmp_path)
    assert saved.step == 1
    assert int(saved.state["step"]) == 1
    assert len(saved.skipped) == 1
    assert saved.skipped[0].startswith(f"{tmp_path / '2'} (")


def test_the_strict_take_no_older_one(tmp_path):
    save(tmp_path, 1, 2)
    flip_a_bit(data_file(tmp_path, 2, "best"))
    assert checkpoint.restore_best(tmp_path, BEST).step == 1
    rule = r"expected the newest checkpoint to be whole, got .*/2 \(.*take step 1 with"
    with pytest.raises(InputError, match=rule):
        checkpoint.restore_best(tmp_path, BEST, is_strict=True)


def test_what_an_array_claims_is_compared_before_it_is_read(tmp_path):
    save(tmp_path, 1)
    wide = {"w": np.zeros((40_000, 40_000), np.float16)}  # nobody's memory is asked for it
    with pytest.raises(InputError, match=r"w claims to be \(\[40, 40\]"):
        checkpoint.restore_best(tmp_path, jax.tree.map(lambda leaf: leaf[:41], wide))
    vast = {"w": jax.ShapeDtypeStruct((10**6, 4 * 10**6), np.float32)}  # of an altered spec
    with pytest.raises(InputError, match=r"w claims to be \(\[40, 40\]"):
        checkpoint.restore_best(tmp_path, vast)


def test_reads_that_end_late_print_nothing(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    checkpoint._ignore_late_reads.cache_clear()
    save(tmp_path, 1)
    checkpoint.restore_best(tmp_path, BEST)
    late, other = (
        SimpleNamespace(exc_value=RuntimeError(text)) for text in ("Event loop is closed", "other")
    )
    sys.unraisablehook(late)
    sys.unraisablehook(other)
    assert shown == [other]


def test_a_damaged_one_is_set_aside_and_its_step_written_again(tmp_path):
    for _ in range(2):  # the second time, one is aside already
        save(tmp_path, 1, 2)
        flip_a_bit(data_file(tmp_path, 2, "state"))
        save(tmp_path, 2, last=1)
        assert (tmp_path / "damaged-2").is_dir()
        assert checkpoint.steps(tmp_path) == [1, 2]
        assert restore(tmp_path).step == 2
        save(tmp_path, 3, last=2)  # the damaged one does not count as kept
        assert checkpoint.steps(tmp_path) == [2, 3]


def test_the_best_weights_do_not_depend_on_the_rest(tmp_path):
    save(tmp_path, 1, 2)
    flip_a_bit(data_file(tmp_path, 2, "state"))
    assert checkpoint.restore_best(tmp_path, BEST).progress == {"epoch": 2}


def test_nothing_to_read_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"expected a checkpoint, got none\. Train"):
        restore(tmp_path / "missing")
    save(tmp_path, 1, 2)
    for step in (1, 2):
        data_file(tmp_path, step, "state").write_bytes(b"")
    with pytest.raises(InputError, match=r"got only damaged ones: .*/2 \(.*/1 \(") as caught:
        restore(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("room", [100, 5000])  # refused in Python, and in tensorstore
def test_a_refused_write_leaves_the_earlier_ones_and_nothing_else(tmp_path, capfd, room):
    save(tmp_path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Writer(tmp_path, 2, 1) as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))  # a disk with no room
        try:
            with pytest.raises(InputError, match=r"/2: .*got 'File too large'\. Ear") as caught:
                writer.save(2, state_at(2), BEST, {"epoch": 2})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "\n" not in str(caught.value)
        assert capfd.readouterr() == ("", "")
        assert [path.name for path in tmp_path.iterdir()] == ["1"]
        writer.save(3, state_at(3), BEST, {"epoch": 3})
    assert restore(tmp_path).step == 3


def test_what_a_killed_save_left_is_removed(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "2.orbax-checkpoint-tmp").mkdir()
    (tmp_path / "2.orbax-checkpoint-tmp" / "half").write_text("x")
    assert restore(tmp_path).skipped == ()
    save(tmp_path, 2, last=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


def test_a_step_is_written_once(tmp_path):
    save(tmp_path, 1)
    before = data_file(tmp_path, 1, "state").stat().st_mtime_ns
    save(tmp_path, 1, last=1)
    assert data_file(tmp_path, 1, "state").stat().st_mtime_ns == before


def test_a_checkpoint_is_due_after_a_while(tmp_path, monkeypatch):
    with Writer(tmp_path, 2, -1) as writer:
        assert not writer.is_due
        monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
        assert writer.is_due
