"""Traces made with matlab/ under GNU Octave, a process a core.

Fields, files and params are the built-in simulator's, to 1e-6 mm; only jitter and floor are drawn
from other random numbers.
"""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from jaxcorr.data import collect, parts
from jaxcorr.errors import InputError
from jaxcorr.printer import gcode
from jaxcorr.printer_spec import Simulation
from jaxcorr.spec import Simulate

MATLAB = Path(__file__).parent.parent.parent / "matlab"  # there in a checkout, not in a wheel
# MATLAB's planner goes by the G-code alone.
NOT_IN_MATLAB = ("printer", "firmware", "limits", "bed_size_mm", "steps_per_mm")
POLL_S = 0.5
END_S = 10.0  # that a process which was asked to end may take


class Counted(NamedTuple):
    """How many of a collection's files are there."""

    num_done: int
    total: int


class _Worker(NamedTuple):
    process: subprocess.Popen[bytes]
    errors: IO[bytes]


def find() -> str | None:
    """GNU Octave, where it and the .m files are there."""
    program = shutil.which("octave-cli") or shutil.which("octave")
    return program if (MATLAB / "collect_data.m").is_file() else None


def version(program: str) -> str:
    """The first line of what Octave says of itself."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout or program).splitlines()[0]


def command(program: str, code: str) -> list[str]:
    """The command that runs code with matlab/ on the path."""
    return [program, "--norc", "--no-gui", "--path", str(MATLAB), "--eval", code]


def quote(text: str) -> str:
    """A text as a literal of MATLAB and Octave; control characters stand there by number."""
    pieces = [piece.replace("'", "''") for piece in re.split(r"[\x00-\x1f\x7f]", text)]
    codes = [f"' char({ord(code)}) '" for code in re.findall(r"[\x00-\x1f\x7f]", text)]
    whole = "".join(itertools.chain(*itertools.zip_longest(pieces, codes, fillvalue="")))
    return f"['{whole}']" if codes else f"'{whole}'"


def said(stderr: str) -> str:
    """The reason that Octave gave before it ended, on one line."""
    # As it leaves, some builds of Octave complain of themselves; that is not the reason.
    lines = [line for line in stderr.splitlines() if line and "preparing to exit" not in line]
    found = next((line for line in lines if line.startswith("error: ")), "\n".join(lines[-1:]))
    return found.removeprefix("error: ")[:300]


def can_make(options: Simulate) -> bool:
    """Whether Octave's simulation, which goes by the G-code alone, has what is asked for."""
    return not (options.firmware or options.limits.given)


def files_by_part(options: Simulate, home: Path = Path()) -> dict[str, list[Path]]:
    """Every trace of [data.simulate], by the name of its part, there or not.

    Args:
        home: where folders of traces go.
    Raises:
        InputError: a part is unknown, its G-code is refused, or it has no such layers.
    """
    if not can_make(options):
        raise InputError(
            f"printer {options.printer}: expected no firmware and no limits for GNU Octave, which "
            "goes by the G-code alone, got some. Use the built-in simulator: --simulator twin."
        )
    files = {}
    for name in options.parts:
        program = gcode.read(parts.find_part(name)[0], printer=options)
        part = parts.part_name(name)
        made = collect.files_of(program, part, options.layers, options, home)
        files[name] = list(made.values())
    return files


def make(program: str, options: Simulate, files: dict[str, list[Path]]) -> Iterator[Counted]:
    """Makes the traces that are missing; what is there is kept.

    Args:
        program: from `octave.find`.
        options: of the spec.
        files: from `files_by_part`.
    Yields:
        The count, about twice a second, the last one when all is done.
    Raises:
        InputError: Octave failed, or refused files that were made in another way.
    """
    every = [path for paths in files.values() for path in paths]
    wanted = [name for name, paths in files.items() if not all(path.exists() for path in paths)]
    home = every[0].parent.parent
    num_workers = min(len(wanted), len(os.sched_getaffinity(0)))
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(_running(program, code_of(wanted[i::num_workers], options, home)))
            for i in range(num_workers)
        ]
        while True:
            status = [worker.process.poll() for worker in workers]
            yield Counted(sum(path.exists() for path in every), len(every))
            for worker, returned in zip(workers, status, strict=True):
                if returned:
                    raise _failed(worker)
            if None not in status:
                return
            time.sleep(POLL_S)


@contextlib.contextmanager
def _running(program: str, code: str) -> Iterator[_Worker]:
    """A process that has ended when the block does."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command(program, code), stdout=subprocess.DEVNULL, stderr=errors)
        try:
            yield _Worker(process, errors)
        finally:
            # It removes the file that it was writing, and is killed where it takes too long.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _failed(worker: _Worker) -> InputError:
    worker.errors.seek(0)
    reason = said(worker.errors.read().decode(errors="replace")).rstrip(".")
    return InputError(
        f"GNU Octave: expected it to make the traces, got '{reason or worker.process.returncode}'. "
        "Mend that, or make them with the built-in simulator: --simulator twin."
    )


def code_of(names: Sequence[str], options: Simulate, home: Path = Path()) -> str:
    """Calls of collect_data for these parts, one after the other, in MATLAB's words."""
    told = set(Simulation.model_fields) - set(NOT_IN_MATLAB)
    given = options.model_dump(include=told, by_alias=True, exclude_none=True)
    if home != Path():
        given["output"] = str(home)
    pairs = ", ".join(f"{quote(name)}, {_literal(value)}" for name, value in given.items())
    layers = quote(options.layers)
    return " ".join(f"collect_data({quote(name)}, {layers}, {pairs});" for name in names)


def _literal(value: Any) -> str:
    """A number, a text, numbers or texts, as MATLAB spells them."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, tuple):
        inner = ", ".join(map(_literal, value))
        is_cell = bool(value) and isinstance(value[0], str)
        return f"{{{inner}}}" if is_cell else f"[{inner}]"
    return repr(value)
