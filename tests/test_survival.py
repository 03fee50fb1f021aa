"""Kill -9 at random moments, twenty times: each run ends as if nothing had happened."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import oscillator
import pytest
import tomli_w
from forkserver import ForkServer
from histories import assert_same

from jaxcorr.training import experiment, run_folder

LANES, KILLS_PER_LANE = 2, 10
EPOCHS = 100  # so many that most kills fall into the training, not into its start


@pytest.fixture
def servers(tmp_path):
    servers = [ForkServer(tmp_path / f"log{lane}") for lane in range(LANES)]
    yield servers
    for server in servers:
        server.close()


def newest(folder, finished):
    """The run to go on with, if one has begun."""
    return next((run for run in run_folder.list_all(folder) if run.path not in finished), None)


def kill_again_and_again(server, spec, folder, seed, duration_s):
    """Trains, with kills and resumes, one run after the other; returns them, and the outputs."""
    rng = random.Random(seed)
    finished, logs, kills = [], [], 0
    while kills < KILLS_PER_LANE or newest(folder, finished):
        run = newest(folder, finished)
        argv = ["resume", run.path] if run else ["train", spec, "--runs", folder]
        is_spared = kills == KILLS_PER_LANE
        after_s = rng.uniform(0.2, 0.8) * duration_s
        request = {} if is_spared else {"signal": "SIGKILL", "after_s": after_s}
        status, log = server.run(*argv, every_s=0.05 * duration_s, **request)
        assert status in ((0,) if is_spared else (0, -9)), log
        logs.append(log)
        kills += status != 0
        if status == 0 and (run := newest(folder, finished)):
            finished.append(run.path)
    return finished, logs


def test_killed_runs_end_with_the_parameters_of_an_uninterrupted_one(servers, layers, tmp_path):
    spec = tmp_path / "toy.toml"
    table = oscillator.make_table(layers, train={"epochs": EPOCHS}, model={"dropout": 0.1})
    spec.write_text(tomli_w.dumps(table), encoding="utf-8")
    assert servers[0].run("train", spec, "--runs", tmp_path / "whole")[0] == 0
    whole = experiment.reopen(run_folder.list_all(tmp_path / "whole")[0])

    def lane(number):
        began, folder = time.monotonic(), tmp_path / f"killed{number}"
        assert servers[number].run("train", spec, "--runs", folder)[0] == 0  # all is compiled
        duration_s = time.monotonic() - began
        done = run_folder.list_all(folder)[0].path
        done.rename(tmp_path / f"timed{number}")
        return kill_again_and_again(servers[number], spec, folder, number, duration_s)

    with ThreadPoolExecutor(LANES) as pool:
        lanes = list(pool.map(lane, range(LANES)))
    for finished, logs in lanes:
        assert finished
        assert any("resuming after" in log for log in logs)
        for path in finished:
            assert_same(experiment.reopen(run_folder.Run(path)), whole)
