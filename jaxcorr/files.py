"""Files written whole or not at all. It knows nothing of what is in them."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Lends a temporary name beside `path`; what was written there gets its own name at the end.

    The temporary file keeps the suffix, since some writers choose the format by it. If the block
    fails, it is removed and an earlier `path` stays as it was.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        # A full disk names no file, and nobody asked for the temporary one.
        if error.filename in (None, partial, str(partial)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        # Whatever went wrong with the folder is the block's own error, not this one's.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def check_folder(folder: Path) -> None:
    """Raises the OSError that a file in this folder would meet, before the work that it is for."""
    trial = folder / f".{os.getpid()}.trial"
    try:
        trial.touch()
    except OSError as error:
        error.filename = str(folder)
        raise
    trial.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, whole or not at all."""
    with write_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Writes JSON, indented, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
