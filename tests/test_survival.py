"""Kill -9 at random moments, twenty times: each run ends as if nothing had happened."""

import random
import time

import oscillator
import tomli_w
from test_train import assert_same

from jaxcorr import experiment, runs

NUM_KILLS = 20
EPOCHS = 25


def newest(folder, finished):
    """The run to go on with, if one has begun."""
    return next((run for run in runs.list_all(folder) if run.path not in finished), None)


def test_killed_runs_end_with_the_parameters_of_an_uninterrupted_one(server, layers, tmp_path):
    spec = tmp_path / "toy.toml"
    table = oscillator.make_table(layers, train={"epochs": EPOCHS}, model={"dropout": 0.1})
    spec.write_text(tomli_w.dumps(table), encoding="utf-8")
    for _ in range(2):  # the second time, everything is compiled
        began = time.monotonic()
        assert server.run("train", spec, "--runs", tmp_path / "whole")[0] == 0
        duration_s = time.monotonic() - began
    whole = experiment.reopen(runs.list_all(tmp_path / "whole")[0])

    rng, folder = random.Random(0), tmp_path / "killed"
    finished, kills, resumed = [], 0, 0
    while kills < NUM_KILLS or newest(folder, finished):
        run = newest(folder, finished)
        argv = ["resume", run.path] if run else ["train", spec, "--runs", folder]
        is_spared = kills == NUM_KILLS
        after_s = rng.uniform(0.2, 0.9) * duration_s
        request = {} if is_spared else {"signal": "SIGKILL", "after_s": after_s}
        status, log = server.run(*argv, every_s=0.1 * duration_s, **request)
        assert status in ((0,) if is_spared else (0, -9)), log
        resumed += "resuming" in log
        if status:
            kills += 1
        elif run := newest(folder, finished):
            assert_same(experiment.reopen(run), whole)
            finished.append(run.path)
    assert finished
    assert resumed
