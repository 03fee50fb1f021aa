"""Where `jaxcorr` and `python -m jaxcorr` begin."""

import os

from jaxcorr import interrupts


def main() -> None:
    """Entry point: the command line, which takes a moment to load."""
    interrupts.watch()
    try:
        from jaxcorr.cli import app

        app.main()
    except KeyboardInterrupt:  # one more, while the command ends for the first
        os._exit(interrupts.INTERRUPTED)


if __name__ == "__main__":
    main()
