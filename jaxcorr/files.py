"""Files of text, JSON and arrays, written whole or not at all, and read back within bounds.

What is read may come from a stranger: only regular files are opened, nothing in them is run, and
their sizes are known to be bearable before memory is taken.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import socket
import stat
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxcorr.errors import InputError, shorten

if TYPE_CHECKING:  # commands that read no array do not wait for numpy
    from numpy import ndarray

MOST_VARIABLE = "JAXCORR_MOST_MIB"  # of the environment: a bound in place of MOST_MIB
MOST_MIB = 1024  # that one file may take in memory
# Samples and G-code shrink two- to twentyfold in packing, zeros without end a thousandfold.
MOST_PACKED, LITTLE_BYTES = 100, 64 << 20
TEXT_GROWTH = 30  # "1," is two bytes of JSON and some sixty of Python's
MOST_HEADER_BYTES = 10_000  # of an array, as numpy itself has it
# Names that only a process of this host can tell to be left over.
HOST = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname()) or "host"
LEFTOVER = re.compile(rf"\.(.+)\.{re.escape(HOST)}\.(\d+)\.(partial|old|trial)(\..+)?")


class Array(NamedTuple):
    """What an array of a file has to be.

    Attributes:
        kind: `f` finite numbers, `n` numbers of any value, `i` integers, `b` booleans, `U` texts.
        shape: a length for each axis, or a name for those that are equal throughout the file.
    """

    kind: str
    shape: tuple[int | str, ...] = ()


KINDS = {"f": "fiu", "n": "fiu", "i": "iu", "b": "b", "U": "U"}  # numpy's, by ours
KIND_NAMES = {
    "f": "finite numbers", "n": "numbers", "i": "integers", "b": "booleans", "U": "texts",
}  # fmt: skip


@contextlib.contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Lends a temporary name beside `path`; what was written there gets its own name at the end.

    The temporary file keeps the suffix, since some writers choose the format by it. If the block
    fails, it is removed and an earlier `path` stays as it was.
    """
    _remove_once(path.parent.absolute())
    partial = path.with_name(f".{path.stem}.{HOST}.{os.getpid()}.partial{path.suffix}")
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
    remove_leftovers(folder.parent)
    partial = folder.with_name(f".{folder.name}.{HOST}.{os.getpid()}.partial")
    old = folder.with_name(f".{folder.name}.{HOST}.{os.getpid()}.old")
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


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Lends an empty folder among the system's temporary files, for the block only.

    What killed processes left there is removed first.
    """
    home = Path(tempfile.gettempdir())
    remove_leftovers(home)
    folder = Path(tempfile.mkdtemp(dir=home, prefix=f".jaxcorr.{HOST}.{os.getpid()}.partial."))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Removes what processes that were killed on this host left half-written in a folder.

    A folder that was being replaced, and has not been, gets its name back.
    """
    try:
        found = [(path, LEFTOVER.fullmatch(path.name)) for path in folder.iterdir()]
    except OSError:
        return
    for path, match in found:
        if match is None or _is_alive(int(match[2])):
            continue
        whole = path.with_name(match[1])
        with contextlib.suppress(OSError):
            if match[3] == "old" and not whole.exists():
                path.rename(whole)
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


@functools.cache
def _remove_once(folder: Path) -> None:
    """What a killed process left is there when the first file is written, or it is not ours."""
    remove_leftovers(folder)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


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
    trial = folder / f".file.{HOST}.{os.getpid()}.trial"
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
    import numpy as np

    with write_whole(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def most_bytes() -> int:
    """What one file may take in memory.

    Raises:
        InputError: the environment says something else than a number.
    """
    text = os.environ.get(MOST_VARIABLE, str(MOST_MIB))
    if not text.isdigit() or not 0 < int(text) < 2**40:
        raise InputError(
            f"{MOST_VARIABLE}: expected a number of MiB above 0, got '{text[:40]}'. Unset it for "
            f"{MOST_MIB}."
        )
    return int(text) << 20


def check_size(where: Path | str, num_bytes: float) -> None:
    """Refuses what would take more memory than one file may.

    Raises:
        InputError: it would; the text says how to raise the bound.
    """
    if num_bytes > most_bytes():
        raise InputError(
            f"{where}: expected at most {most_bytes() >> 20:,} MiB in memory, got "
            f"{num_bytes / 2**20:,.0f} MiB. If it is to be so large, set {MOST_VARIABLE} to more."
        )


def check_packing(where: Path | str, num_bytes: int, num_packed: int) -> None:
    """Refuses what is all but empty, and takes memory and time nevertheless.

    Raises:
        InputError: it is large, and packed as only a repetition can be.
    """
    if num_bytes > max(LITTLE_BYTES, MOST_PACKED * num_packed):
        raise InputError(
            f"{where}: expected at most {LITTLE_BYTES >> 20} MiB of what is packed more than "
            f"{MOST_PACKED}-fold, got {num_bytes >> 20:,} MiB. If it is to be so large, save it "
            "without compression."
        )


def open_regular(path: Path) -> int:
    """A descriptor of a regular file; anything else, such as a pipe that nobody writes, is refused.

    Raises:
        OSError: it cannot be opened, or is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
    raise OSError(None, f"{what}, no file", str(path))


def unreadable(path: Path, what: str, error: OSError, mend: str) -> InputError:
    """The refusal of a file that cannot be opened; of what is denied, only permissions are to mend.

    Args:
        what, mend: what should be there, and what to do where it is not.
    """
    mend = "Mend its permissions." if isinstance(error, PermissionError) else mend
    return InputError(f"{path}: expected {what}, got '{error.strerror}'. {mend}")


def read_bytes(path: Path, what: str, mend: str, growth: int = TEXT_GROWTH) -> bytes:
    """The content of a regular file of text, which grows where its values are taken apart.

    Args:
        what, mend: what should be there, and what to do where it is not, for the error.
        growth: how many times its own size its values may take.
    Raises:
        InputError: it is not there, cannot be read, or is too large.
    """
    try:
        with open(open_regular(path), "rb") as file:
            check_size(path, growth * os.fstat(file.fileno()).st_size)
            return file.read()
    except OSError as error:
        raise unreadable(path, what, error, mend) from None


def load_arrays(path: Path, wanted: Mapping[str, Array], what: str, mend: str) -> dict[str, Any]:
    """Arrays that `save_arrays` wrote, each as it has to be; nothing else of the file is read.

    Args:
        wanted: by name.
        what, mend: what the file should hold, and what to do where it does not, for the error.
    Raises:
        InputError: the file is missing or damaged, or an array is of another kind or shape.
    """
    try:
        with open(open_regular(path), "rb") as file, zipfile.ZipFile(file) as archive:
            members = {name: archive.getinfo(f"{name}.npy") for name in wanted}
            check_size(path, sum(member.file_size for member in members.values()))
            found = {name: _read_array(archive, member) for name, member in members.items()}
    except InputError:
        raise
    except PermissionError as error:
        raise unreadable(path, what, error, mend) from None
    except _DAMAGE as error:
        got = getattr(error, "strerror", None) or str(error).strip("'\"") or type(error).__name__
        raise InputError(f"{path}: expected {what}, got '{shorten(got)}'. {mend}") from None
    lengths: dict[str, int] = {}
    for name, array in wanted.items():
        if not _suits(found[name], array, lengths):
            got = f"{found[name].dtype} of shape {found[name].shape}"
            shape = ", ".join(str(lengths.get(str(side), side)) for side in array.shape)
            raise InputError(
                f"{path}: {name}: expected {KIND_NAMES[array.kind]} of shape ({shape}), got {got}"
                f"{'' if array.kind != 'f' else ', or not finite'}. {mend}"
            )
    return found


def load_any_arrays(path: Path) -> "dict[str, ndarray]":
    """Every array of a stranger's .npz file, none of them larger than what is there.

    Raises:
        InputError: they would take too much memory.
        Exception: whatever a damaged file provokes, such as ValueError.
    """
    with open(open_regular(path), "rb") as file, zipfile.ZipFile(file) as archive:
        members = [one for one in archive.infolist() if one.filename.endswith(".npy")]
        check_size(path, sum(one.file_size for one in members))
        return {one.filename.removesuffix(".npy"): _read_array(archive, one) for one in members}


# What a damaged file provokes in zipfile, its decoders and numpy's reader of headers.
_DAMAGE = (
    OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError,
    RuntimeError, OverflowError, SyntaxError, TypeError, UnicodeError, tokenize.TokenError,
)  # fmt: skip


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> "ndarray":
    """An array whose header says no more than its member of the archive holds."""
    import numpy as np

    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        read = read if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(file, max_header_size=MOST_HEADER_BYTES)
        num_values = int(np.prod(shape, dtype=object)) if shape else 1
        rest = member.file_size - file.tell()
        if dtype.hasobject or not 0 <= num_values * dtype.itemsize == rest:
            raise ValueError(f"{member.filename} claims {num_values} values of {dtype}")
        content = file.read(rest)
    flat = np.frombuffer(content, dtype)
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _suits(found: "ndarray", array: Array, lengths: dict[str, int]) -> bool:
    """Whether an array is what it has to be; notes the lengths that have names."""
    import numpy as np

    if found.dtype.kind not in KINDS[array.kind] or found.ndim != len(array.shape):
        return False
    for side, length in zip(array.shape, found.shape, strict=True):
        if (side if isinstance(side, int) else lengths.setdefault(side, length)) != length:
            return False
    return array.kind != "f" or bool(np.isfinite(found).all())


def save_columns(
    folder: Path, stem: str, struct: str, columns: "Mapping[str, ndarray]", notes: Mapping[str, Any]
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
