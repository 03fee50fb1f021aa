"""Where `jaxcorr` and `python -m jaxcorr` begin."""

from jaxcorr import interrupts


def main() -> None:
    """Entry point: the command line, which takes a moment to load."""
    interrupts.watch()
    from jaxcorr.cli import app

    app.main()


if __name__ == "__main__":
    main()
