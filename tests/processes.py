"""Starts `jaxcorr` processes in a tenth of the time: what they import is there when they begin.

A server has it and forks for each, which is safe while jax has no backend and no thread runs.
"""

import contextlib
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

POLL_S = 0.01
LONGEST_S = 600.0  # for a text to come, on a machine that has much else to do

FORKS = multiprocessing.get_context("forkserver")
IMPORTED = "jax", "jaxcorr.cli.app", "jaxcorr.training.loop"
FORKS.set_forkserver_preload(list(IMPORTED))


def run(log: Path, *argv: Any, **request: Any) -> tuple[int, str]:
    """Runs `jaxcorr ARGV`; returns its exit status, negative for a signal, and all that it printed.

    Args:
        log: a file for the output.
        argv: of the command.
        request: `environment` (variables to set), `every_s` (between checkpoints), `signal` (its
            name) and when to send it: `after_s`, or `after_text` once the log holds that.
    """
    log.write_text("")
    child = FORKS.Process(target=_become, args=(log, [*map(str, argv)], request))
    child.start()
    if "signal" in request:
        _wait(child, log, request)
        with contextlib.suppress(ProcessLookupError):  # it has ended just before
            os.kill(child.pid, getattr(signal, request["signal"]))
    child.join()
    return child.exitcode, log.read_text()


def stop() -> None:
    """Ends the server, so that the time that it took counts as that of the tests."""
    multiprocessing.forkserver._forkserver._stop()


def _become(log: Path, argv: list[str], request: dict[str, Any]) -> None:
    """In the child: turns into `jaxcorr ARGV`, with its output in the log; does not return."""
    import jax
    import toy

    from jaxcorr.cli import app
    from jaxcorr.training import checkpoint, history

    assert len(os.listdir("/proc/self/task")) == 1
    toy.take_any_plant()
    history.draw = lambda *_: None  # a second each, and other tests look at the curves
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.argv = ["jaxcorr", *argv]
    os.environ.update(request.get("environment", {}))
    checkpoint.EVERY_S = request.get("every_s", checkpoint.EVERY_S)
    status = 0
    try:
        app.main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    finally:
        sys.stdout.flush()
        if jax.distributed.is_initialized():
            jax.distributed.shutdown()  # at exit, but there is none
        os._exit(status)


def _wait(child: Any, log: Path, request: dict[str, Any]) -> None:
    """Until it is time for the signal, or the child has ended by itself."""
    deadline = time.monotonic() + request.get("after_s", LONGEST_S)
    text = request.get("after_text")
    while time.monotonic() < deadline and child.is_alive():
        if text and text in log.read_text():
            return
        time.sleep(POLL_S)
