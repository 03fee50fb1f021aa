"""Ctrl-C while modules load: the process ends at once.

An interrupt in the middle of an import is a traceback at best; in libraries of C++ it becomes an
ImportError, or is lost, and the command goes on for an hour. Nothing is half-done there. Anywhere
else it is a KeyboardInterrupt as ever.
"""

import os
import signal
from types import FrameType

INTERRUPTED = 130  # the exit code that shells expect
IMPORTS = "<frozen importlib._bootstrap>"


def watch() -> None:
    """Looks after Ctrl-C from here on, unless the process was started to ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_interrupt)


def end() -> None:
    """From here on the process only ends: Ctrl-C ends it at once, with nothing left to undo."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(INTERRUPTED))


def _on_interrupt(_number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename == IMPORTS:
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt
