"""Kill -9 at random moments, again and again: each run ends as if nothing had happened."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import oscillator
import pytest
import tomli_w
from histories import assert_same

from jaxcorr.training import experiment, run_folder

# A checkpoint follows each dispatch, and by then one of the first epoch is whole.
IN_TRAINING = {"every_s": 0.0, "after_text": "epoch   3/"}


class Plan(NamedTuple):
    """How much is killed; of many epochs most kills fall into the training, not into its start."""

    num_lanes: int
    kills_per_lane: int
    epochs: int


@pytest.fixture
def plan(is_thorough):
    return Plan(2, 10, 100) if is_thorough else Plan(1, 1, 20)


def newest(folder, finished):
    """The run to go on with, if one has begun."""
    return next((run for run in run_folder.list_all(folder) if run.path not in finished), None)


def kill_again_and_again(run_apart, spec, folder, seed, duration_s, num_kills):
    """Trains, with kills and resumes, one run after the other; returns them, and the outputs.

    The first kill waits until an epoch is over, whatever that takes; the others come at any time.
    """
    rng = random.Random(seed)
    finished, logs, kills = [], [], 0
    while kills < num_kills or newest(folder, finished):
        run = newest(folder, finished)
        argv = ["resume", run.path] if run else ["train", spec, "--runs", folder]
        is_spared = kills == num_kills
        request = {"every_s": 0.05 * duration_s}
        if not is_spared:
            after_s = rng.uniform(0.2, 0.8) * duration_s
            request |= {"signal": "SIGKILL"} | ({"after_s": after_s} if kills else IN_TRAINING)
        status, log = run_apart(*argv, **request)
        assert status in ((0,) if is_spared else (0, -9)), log
        logs.append(log)
        kills += status != 0
        if status == 0 and (run := newest(folder, finished)):
            finished.append(run.path)
    return finished, logs


def test_killed_runs_end_with_the_parameters_of_an_uninterrupted_one(
    run_apart, plan, layers, tmp_path
):
    spec = tmp_path / "toy.toml"
    training = {"epochs": plan.epochs}
    table = oscillator.make_table(layers, train=training, model={"dropout": 0.1})
    spec.write_text(tomli_w.dumps(table), encoding="utf-8")
    assert run_apart("train", spec, "--runs", tmp_path / "whole")[0] == 0
    whole = experiment.reopen(run_folder.list_all(tmp_path / "whole")[0])

    def lane(number):
        began, duration_s = time.monotonic(), 20.0
        if plan.kills_per_lane > 1:  # the first one does not ask how long it takes
            timed = tmp_path / f"timed{number}"
            assert run_apart("train", spec, "--runs", timed)[0] == 0  # all is compiled
            duration_s = time.monotonic() - began
        folder = tmp_path / f"killed{number}"
        return kill_again_and_again(
            run_apart, spec, folder, number, duration_s, plan.kills_per_lane
        )

    with ThreadPoolExecutor(plan.num_lanes) as pool:
        lanes = list(pool.map(lane, range(plan.num_lanes)))
    for finished, logs in lanes:
        assert finished
        assert any("resuming after" in log for log in logs)
        for path in finished:
            assert_same(experiment.reopen(run_folder.Run(path)), whole)
