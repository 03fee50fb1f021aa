"""GNU Octave and the functions of matlab/: whether both are there, and how to have them run code.

The module knows no function of matlab/ and starts nothing for long.
"""

import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent.parent.parent / "matlab"  # there in a checkout, not in a wheel


def find() -> str | None:
    """GNU Octave, where it and the .m files are there."""
    program = shutil.which("octave-cli") or shutil.which("octave")
    return program if (SOURCES / "collect_data.m").is_file() else None


def version(program: str) -> str:
    """The first line of what Octave says of itself."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout or program).splitlines()[0]


def command(program: str, code: str) -> list[str]:
    """The command that runs code with matlab/ on the path."""
    return [program, "--norc", "--no-gui", "--path", str(SOURCES), "--eval", code]


def quote(text: str) -> str:
    """A text as a literal of MATLAB and Octave."""
    return "'" + text.replace("'", "''") + "'"


def said(stderr: str) -> str:
    """The reason that Octave gave before it ended, on one line."""
    # As it leaves, some builds of Octave complain of themselves; that is not the reason.
    lines = [line for line in stderr.splitlines() if line and "preparing to exit" not in line]
    found = next((line for line in lines if line.startswith("error: ")), "\n".join(lines[-1:]))
    return found.removeprefix("error: ")[:300]
