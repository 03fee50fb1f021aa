"""Two processes that train together: the history of one, a stop and a failure for both."""

import socket
from concurrent.futures import ThreadPoolExecutor

import oscillator
import pytest
import tomli_w
from histories import LIVELY

from jaxcorr.errors import InputError
from jaxcorr.training import hosts, run_folder

SPEC = LIVELY | {
    "train": {"num_devices": 2, "epochs": 8, "device": "cpu"},
    "model": {"dropout": 0.2, "num_layers": 1},
}


@pytest.fixture(scope="module")
def spec(layers, tmp_path_factory):
    path = tmp_path_factory.mktemp("spec") / "toy.toml"
    path.write_text(tomli_w.dumps(oscillator.make_table(layers, **SPEC)), encoding="utf-8")
    return path


def run_two(run_apart, *commands, **request):
    """Runs `jaxcorr` in two processes that know each other; returns status and output of each.

    Args:
        commands: arguments for both, or for each its own.
        request: more of the first one's.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    known = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2"}

    def run(index):
        environment = known | {"JAX_PROCESS_ID": str(index)}
        more = {} if index else request
        return run_apart(*commands[index % len(commands)], environment=environment, **more)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, range(2)))


def test_two_processes_stop_and_resume_together_with_the_history_of_one(run_apart, spec, tmp_path):
    argv = ["train", spec, "--runs", tmp_path / "two"]
    stopped = run_two(run_apart, argv, signal="SIGTERM", after_text="epoch   3/")
    assert [status for status, _ in stopped] == [130, 130], stopped
    assert "2 devices" in stopped[0][1]
    assert "interrupted and saved" in stopped[0][1]
    assert "epoch" not in stopped[1][1]
    (run,) = run_folder.list_all(tmp_path / "two")
    resumed = run_two(run_apart, ["resume", run.path])
    assert [status for status, _ in resumed] == [0, 0], resumed
    assert run_apart("train", spec, "--runs", tmp_path / "one")[0] == 0
    (alone,) = run_folder.list_all(tmp_path / "one")
    for row, other in zip(*(r.read_history() for r in (run, alone)), strict=True):
        assert row == pytest.approx(other, rel=1e-3)


def test_failure_of_one_ends_both(run_apart, spec, tmp_path):
    argv = ["train", spec, "--runs", tmp_path]
    for change, rule in (("train.seed=7", "the same spec and traces"), ("data.traces=x", "all 2")):
        (status, log), (other_status, other_log) = run_two(
            run_apart, argv, [*argv, "--set", change]
        )
        assert (status, other_status) == (2, 2), log + other_log
        assert f"process 0: expected {rule}" in log
        assert not run_folder.list_all(tmp_path)


GOOD = {
    "JAX_COORDINATOR_ADDRESS": "[::1]:7000",
    "JAX_NUM_PROCESSES": "3",
    "JAX_PROCESS_ID": "2",
}


def test_place_is_read_from_the_environment():
    assert hosts.read_place(GOOD) == hosts.Place("[::1]:7000", 3, 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JAX_COORDINATOR_ADDRESS", "somewhere"),
        ("JAX_COORDINATOR_ADDRESS", "here:99999"),
        ("JAX_NUM_PROCESSES", ""),
        ("JAX_NUM_PROCESSES", "0"),
        ("JAX_PROCESS_ID", "-1"),
        ("JAX_PROCESS_ID", "3"),
    ],
)
def test_wrong_variables_are_refused(name, value):
    with pytest.raises(InputError) as caught:
        hosts.join(GOOD | {name: value})
    assert str(caught.value).startswith("JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_")
    assert f"'{value}'" in str(caught.value)


def test_message_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(hosts, "is_alone", lambda: False)
    monkeypatch.setattr(hosts, "is_writer", lambda: True)
    monkeypatch.setattr(hosts, "any_of", lambda *flags: list(flags))
    with pytest.raises(InputError, match=r"at most 32,768 bytes to tell .* got 40,002\."):
        hosts.from_writer(lambda: 40_000 * "x")


def test_alone_everything_is_ones_own_business():
    assert hosts.join({}) == 1
    assert hosts.is_writer()
    assert hosts.any_of(True, False) == [True, False]
    assert hosts.from_writer(lambda value: value, (1, 2)) == (1, 2)
    assert hosts.arrays_from_writer(LIVELY) is LIVELY
    hosts.require_same("thing", lambda: 1 / 0)
    with pytest.raises(InputError, match="mine"), hosts.together():
        raise InputError("mine")


def test_one_task_of_a_launcher_is_alone():
    assert hosts.join({"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "a"}) == 1
    assert hosts.join({"SLURM_NTASKS": "4"}) == 1  # a batch script, not a step of its job
    one = {"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"}
    assert hosts.join(one) == 1
