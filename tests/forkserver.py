"""Starts `jaxcorr` processes in a tenth of the time: imports once, forks for each.

Run as a program, it reads one JSON request a line: `argv`, `log` (a file for the output),
`environment` (variables to set), `signal` and `after_s` (0: leave it alone) or `after_text` (signal
once the log holds it); and answers with the exit status, negative for a signal. Forking is safe
while jax has no backend and no thread runs.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

POLL_S = 0.01
LONGEST_S = 600.0  # for a text to come, on a machine that has much else to do


class ForkServer:
    """The calling side, for tests."""

    def __init__(self, log: Path):
        # One thread each, so that numpy starts none of its own before the fork.
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, *argv: str, **request: Any) -> tuple[int, str]:
        """Runs `jaxcorr ARGV`; returns its exit status and all that it printed."""
        assert self._process.stdin
        assert self._process.stdout
        request |= {"argv": ["jaxcorr", *map(str, argv)], "log": str(self._log)}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline()), self._log.read_text()

    def close(self) -> None:
        self._process.communicate()


def serve() -> None:
    import jax
    import matplotlib.figure  # noqa: F401 (this and the next are for the forks)
    import toy

    from jaxcorr.cli import app
    from jaxcorr.training import checkpoint, experiment  # noqa: F401

    toy.take_any_plant()
    assert len(os.listdir("/proc/self/task")) == 1
    for line in sys.stdin:
        request = json.loads(line)
        Path(request["log"]).write_text("")
        pid = os.fork()
        if not pid:
            become(request, jax, checkpoint, app)
        kill(pid, request)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def become(request: dict[str, Any], jax: Any, checkpoint: Any, cli: Any) -> None:
    """In the child: turns into `jaxcorr ARGV`, with its output in the log; does not return."""
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.argv = request["argv"]
    os.environ.update(request.get("environment", {}))
    checkpoint.EVERY_S = request.get("every_s", checkpoint.EVERY_S)
    status = 0
    try:
        cli.main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    finally:
        sys.stdout.flush()
        if jax.distributed.is_initialized():
            jax.distributed.shutdown()  # at exit, but there is none
        os._exit(status)


def kill(pid: int, request: dict[str, Any]) -> None:
    """Sends the signal when it is time, unless the child has ended by then."""
    if "signal" not in request:
        return
    deadline = time.monotonic() + request.get("after_s", LONGEST_S)
    text, log = request.get("after_text"), Path(request["log"])
    while time.monotonic() < deadline and not has_ended(pid):
        if text and text in log.read_text():
            break
        time.sleep(POLL_S)
    os.kill(pid, getattr(signal, request["signal"]))


def has_ended(pid: int) -> bool:
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return ended is not None


if __name__ == "__main__":
    serve()
