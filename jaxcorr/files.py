"""Files of text, JSON and arrays, written whole or not at all, and arrays read back."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from jaxcorr.errors import InputError


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


@contextlib.contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Lends an empty folder beside `folder`; it takes its place if the block succeeds.

    Until then, and if anything fails, an earlier `folder` stays as it was.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        partial.mkdir()
        yield partial
        with contextlib.suppress(FileNotFoundError):
            folder.rename(old)
        partial.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for path in (partial, old):
            shutil.rmtree(path, ignore_errors=True)


def render(
    template: str, filters: Mapping[str, Callable[..., Any]] | None = None, **values: Any
) -> str:
    """Fills in a template of `jaxcorr/templates`; a name that it lacks is an error.

    Args:
        template: its name; values are escaped in one for a page (.html.j2).
        filters: functions that it applies, by name.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=template.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(template).render(**values)


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


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes arrays, numbers and texts by name into a compressed .npz file."""
    with write_whole(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_arrays(path: Path, names: Iterable[str], what: str, mend: str) -> dict[str, Any]:
    """The arrays of these names that `save_arrays` wrote.

    Args:
        what, mend: what the file should hold, and what to do where it does not, for the error.
    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        # A file of one's own: of a damaged one numpy would leave its own open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in names}
    # zipfile passes on whatever a damaged file provokes in zlib and its other decoders.
    except Exception as error:
        raise InputError(f"{path}: expected {what}, got '{error}'. {mend}") from None


def save_columns(
    folder: Path, stem: str, struct: str, columns: Mapping[str, ndarray], notes: Mapping[str, Any]
) -> list[Path]:
    """Writes a table as `<stem>.mat`, in one struct of this name, and as `<stem>.npz`.

    Args:
        columns: (n,) each.
        notes: numbers and texts that both files keep beside them.
    """
    import scipy.io

    mat, npz = folder / f"{stem}.mat", folder / f"{stem}.npz"
    fields = {name: values.reshape(-1, 1) for name, values in columns.items()} | dict(notes)
    with write_whole(mat) as partial, partial.open("wb") as file:
        scipy.io.savemat(file, {struct: fields}, do_compression=True, long_field_names=True)
    save_arrays(npz, {**columns, **notes})
    return [mat, npz]
