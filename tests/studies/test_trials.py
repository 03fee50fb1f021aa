"""Choices are made once each, by whichever worker is alive, and outlive all of them."""

import time
from pathlib import Path

import oscillator
import pytest
import tomli_w
from optuna.trial import TrialState

from jaxcorr.errors import InputError
from jaxcorr.studies import sweep_spec
from jaxcorr.studies import trials as study
from jaxcorr.studies.sweep_spec import Sweep
from jaxcorr.training import locks

SPACE = {"optimizer.learning_rate": [1e-3, 1e-2], "model.num_layers": [1, 2, 3]}
RANGES = {
    "optimizer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "model.hidden_size": {"low": 4, "high": 16},
}


def load(folder: Path, space: dict | None = None, **keys: object) -> Sweep:
    (folder / "base.toml").write_text(tomli_w.dumps(oscillator.make_table("none")))
    table = {"base": str(folder / "base.toml"), "sampler": "grid", "space": space or SPACE} | keys
    (folder / "some.toml").write_text(tomli_w.dumps({"sweep": table}))
    return sweep_spec.load(folder / "some.toml")


def test_grid_gives_each_point_once_to_workers_that_take_turns(tmp_path):
    loaded, folder = load(tmp_path), tmp_path / "sweep"
    one, two = study.open_study(loaded, folder), study.open_study(loaded, folder)
    (folder / "workers").mkdir()
    with (
        locks.hold(study.lock_path(folder, "one")),
        locks.hold(study.lock_path(folder, "two")),
    ):
        workers = [(one, "one"), (two, "two")] * 3
        trials = [study.next_trial(shared, loaded, folder, name) for shared, name in workers]
        assert {tuple(sorted(t.params.items())) for t in trials if t} == {
            (("model.num_layers", layers), ("optimizer.learning_rate", rate))
            for layers in SPACE["model.num_layers"]
            for rate in SPACE["optimizer.learning_rate"]
        }
        assert study.next_trial(one, loaded, folder, "one") is None


def test_tpe_choices_differ_stay_in_range_and_repeat(tmp_path):
    loaded = load(tmp_path, RANGES, sampler="tpe", trials=12)
    chosen = []
    for name in ("first", "second"):
        folder = tmp_path / name
        shared = study.open_study(loaded, folder)
        (folder / "workers").mkdir()
        with locks.hold(study.lock_path(folder, "one")):
            for number in range(12):
                # A worker that starts anew chooses as one that never stopped.
                shared = study.open_study(loaded, folder) if name == "second" else shared
                trial = study.next_trial(shared, loaded, folder, "one")
                assert trial is not None
                chosen.append(trial.params)
                shared.tell(trial, 1.0 / (1 + number))
    assert chosen[:12] == chosen[12:]
    assert len({row["optimizer.learning_rate"] for row in chosen}) == 12
    for row in chosen:
        assert 1e-4 <= row["optimizer.learning_rate"] <= 1e-2
        assert row["model.hidden_size"] in range(4, 17)


def test_trial_of_a_dead_worker_is_queued_again_and_listed_once(tmp_path):
    loaded, folder = load(tmp_path), tmp_path / "sweep"
    shared = study.open_study(loaded, folder)
    (folder / "workers").mkdir()
    with locks.hold(study.lock_path(folder, "alive")):
        kept = study.next_trial(shared, loaded, folder, "alive")
        dead = study.next_trial(shared, loaded, folder, "dead")
        assert kept
        assert dead
        dead.set_user_attr("run", "its-folder")
        again = study.next_trial(shared, loaded, folder, "alive")
        assert again
        assert again.params == dead.params
        assert again.user_attrs == {"worker": "alive", "run": "its-folder"}
        assert study.first_number(shared.trials[again.number]) == dead.number
        rest = [study.next_trial(shared, loaded, folder, "alive") for _ in range(5)]
        assert [trial is None for trial in rest] == [False] * 4 + [True]
        assert [t.number for t in study.list_trials(shared)] == [0, 1, 3, 4, 5, 6]
    # Their worker has ended too: all six start over, each under its first number.
    with locks.hold(study.lock_path(folder, "next")):
        for _ in range(6):
            assert study.next_trial(shared, loaded, folder, "next")
        assert study.next_trial(shared, loaded, folder, "next") is None
    assert [t.number for t in study.list_trials(shared)] == [0, 1, 3, 4, 5, 6]
    assert sum(t.state == TrialState.RUNNING for t in shared.trials) == 6


def test_trial_given_out_without_a_name_is_taken_back(tmp_path):
    """A worker may die between the two writes that give it a trial."""
    loaded, folder = load(tmp_path), tmp_path / "sweep"
    shared = study.open_study(loaded, folder)
    shared.sampler = study._make_sampler(loaded, 0)
    nameless = shared.ask()
    (folder / "workers").mkdir()
    with locks.hold(study.lock_path(folder, "one")):
        again = study.next_trial(shared, loaded, folder, "one")
        assert again
        assert study.first_number(shared.trials[again.number]) == nameless.number
        points = [again.params]
        for _ in range(5):
            trial = study.next_trial(shared, loaded, folder, "one")
            assert trial
            points.append(trial.params)
    assert len({tuple(sorted(point.items())) for point in points}) == 6


def test_failed_trials_count_and_figures_are_kept(tmp_path):
    loaded, folder = load(tmp_path, trials=2), tmp_path / "sweep"
    shared = study.open_study(loaded, folder)
    (folder / "workers").mkdir()
    with locks.hold(study.lock_path(folder, "one")):
        first, second = (study.next_trial(shared, loaded, folder, "one") for _ in range(2))
        assert first
        assert second
        first.set_user_attr("reason", "diverged")
        shared.tell(first, state=TrialState.FAIL)
        second.set_user_attr("mae_mm", 0.01)
        shared.tell(second, 0.01)
        assert study.next_trial(shared, loaded, folder, "one") is None
    rows = study.list_trials(study.open_study(loaded, folder))
    assert [(row.state, row.reason, row.mae_mm) for row in rows] == [
        ("failed", "diverged", None),
        ("complete", None, 0.01),
    ]


def test_other_spec_under_the_same_name_is_refused(tmp_path):
    folder = tmp_path / "sweep"
    study.open_study(load(tmp_path), folder)
    study.open_study(load(tmp_path, trials=3), folder)
    changed = load(tmp_path, SPACE | {"model.num_layers": [1, 2, 4]})
    with pytest.raises(InputError, match=r"got changes in sweep\.space\.model\.num_layers"):
        study.open_study(changed, folder)
    load(tmp_path)
    longer = oscillator.make_table("none", train={"epochs": 99})
    (tmp_path / "base.toml").write_text(tomli_w.dumps(longer))
    with pytest.raises(InputError, match=r"got changes in base\.train\.epochs\. Give the sweep"):
        study.open_study(sweep_spec.load(tmp_path / "some.toml"), folder)


def test_journal_with_a_cut_off_line_goes_on(tmp_path):
    loaded, folder = load(tmp_path), tmp_path / "sweep"
    shared = study.open_study(loaded, folder)
    shared.set_user_attr("kept", 1)
    with (folder / study.JOURNAL).open("ab") as file:
        file.write(b'{"op_code":2,"work')
    study.open_study(loaded, folder).set_user_attr("new", 2)
    attributes = study.open_study(loaded, folder).user_attrs
    assert (attributes["kept"], attributes["new"]) == (1, 2)


def test_damaged_journal_and_locked_folder_are_refused(tmp_path):
    loaded, folder = load(tmp_path), tmp_path / "sweep"
    study.open_study(loaded, folder)
    journal = folder / study.JOURNAL
    journal.write_bytes(b"not json\n" + journal.read_bytes())
    with pytest.raises(InputError, match="expected a sweep's journal, got"):
        study.open_study(loaded, folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder that can be written, got"):
        study.open_study(loaded, tmp_path / "file" / "sweep")


@pytest.mark.filterwarnings("ignore:The value of `grace_period`")
def test_lock_of_a_killed_writer_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "LOCK_GRACE_S", 1)
    loaded, folder = load(tmp_path), tmp_path / "sweep"
    study.open_study(loaded, folder)
    (folder / "choice.lock").touch()
    began = time.monotonic()
    study.open_study(loaded, folder)
    assert time.monotonic() - began < 5
    assert not (folder / "choice.lock").exists()
