"""Where `jaxcorr` and `python -m jaxcorr` begin."""

import atexit
import os

from jaxcorr import interrupts


def main() -> None:
    """Entry point: the command line, which takes a moment to load."""
    interrupts.watch()
    codes: list[int] = []
    atexit.register(_leave, codes)  # runs behind all that is registered later
    try:
        from jaxcorr.cli import app

        app.main()
    except SystemExit as ended:
        codes.append(ended.code if isinstance(ended.code, int) else int(ended.code is not None))
        raise
    except KeyboardInterrupt:  # one more, while the command ends for the first
        os._exit(interrupts.INTERRUPTED)


def _leave(codes: list[int]) -> None:
    """Ends the process with the command's code once threads and exit functions have ended."""
    if codes:
        from jaxcorr.cli import app

        app.leave(codes[0])


if __name__ == "__main__":
    main()
