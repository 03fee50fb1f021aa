"""Where `jaxcorr` and `python -m jaxcorr` begin."""

from jaxcorr import interrupts


def main() -> None:
    """Entry point: the command line, which takes a moment to load."""
    interrupts.watch()
    from jaxcorr import cli

    cli.main()


if __name__ == "__main__":
    main()
