"""Ctrl-C while modules load: the process ends at once.

An interrupt in the middle of an import is a traceback at best; in libraries of C++ it becomes an
ImportError, or is lost, and the command goes on for an hour. Nothing is half-done there. Anywhere
else it is a KeyboardInterrupt as ever.
"""

import os
import signal
import threading
from types import FrameType

INTERRUPTED = 130  # the exit code that shells expect
IMPORTS = "<frozen importlib._bootstrap>"
AGAIN_S = 0.01
DEAF = {"_xla_gc_callback", "__del__"}  # Python drops what these raise; the first is JAX's


def watch() -> None:
    """Looks after Ctrl-C from here on, unless the process was started to ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, on_interrupt)


def end() -> None:
    """From here on the process only ends: Ctrl-C ends it at once, with nothing left to undo."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(INTERRUPTED))


def on_interrupt(number: int, frame: FrameType | None) -> None:
    """Raises KeyboardInterrupt where it is heard, or as soon as it will be.

    Args:
        number, frame: as Python gives them to what handles a signal.
    """
    while frame is not None:
        if frame.f_code.co_filename == IMPORTS:
            os._exit(INTERRUPTED)
        if frame.f_code.co_name in DEAF:
            # Again, when that has returned; a call from here would come back at once.
            threading.Timer(AGAIN_S, os.kill, (os.getpid(), number)).start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt
