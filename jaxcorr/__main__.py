"""`python -m jaxcorr` is `jaxcorr`, for environments whose programs are not in PATH."""

from jaxcorr.cli import main

if __name__ == "__main__":
    main()
