"""MATLAB files of versions 5, 7 and 7.3: the variables and struct fields that are asked for.

What is not asked for is passed over and named, of whatever class it is, so that an object that only
MATLAB understands stops nobody who does not need it. A file may come from a stranger: it is read in
order, within `files.most_bytes`, and nothing that it points to is opened.

Source: MathWorks, "MAT-File Format" (versions 5 and 7) and "MAT-File Versions" (7.3, which is
HDF5); objects are laid out there as files that MATLAB wrote show it.
"""

import os
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy import ndarray

from jaxcorr import files
from jaxcorr.errors import InputError, shorten

HEADER_BYTES = 128  # of version 5: text, version, byte order
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"  # at 0, 512, 1024 and so on, after a block of the user's
MOST_NAMES = 1_000  # variables and fields that are looked at in one file
MOST_DEPTH = 20  # structs in structs
PIECE = 1 << 16  # bytes that are unpacked at once
# Of version 5: classes of arrays by number, and types of stored data.
STRUCT, CHAR, OPAQUE = 2, 4, 17
CLASSES = {1: "cell", STRUCT: "struct", 3: "object", CHAR: "char", 5: "sparse", 6: "double",
           7: "single", 8: "int8", 9: "uint8", 10: "int16", 11: "uint16", 12: "int32", 13: "uint32",
           14: "int64", 15: "uint64", 16: "function handle"}  # fmt: skip
NUMPY_NAMES = {"double": "float64", "single": "float32"}
MATLAB_NAMES = {name: ours for ours, name in NUMPY_NAMES.items()}
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
          13: "u8"}  # fmt: skip
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
MATRIX, COMPRESSED = 14, 15

Place = tuple[str, ...]  # of a variable, or of a field: ("simulation_data", "x_ref")
# Which names are wanted of the struct at a place, or among the variables at ().
Choice = Callable[[Place, Sequence[str]], Collection[str]]


class Content(NamedTuple):
    """What was read of a file.

    Attributes:
        values: variables by name: numbers, vectors, matrices, texts, and structs as dictionaries.
        left_out: what was not read, by its place: size and class, such as "1x1 cell".
    """

    values: dict[str, Any]
    left_out: dict[Place, str]


class _Selection:
    """What is wanted of a file, what was passed over, and how much memory the rest takes."""

    def __init__(self, path: Path, choose: Choice):
        self.path, self._choose, self._num_bytes, self._num_names = path, choose, 0, 0
        self.left_out: dict[Place, str] = {}

    def choose(self, place: Place, names: Sequence[str]) -> Collection[str]:
        """The wanted ones among the names at a place."""
        return self._choose(place, names) if len(place) < MOST_DEPTH - 1 else ()

    def count(self, num_names: int) -> None:
        """Refuses more names than a file may have: what leads back to itself has no end."""
        self._num_names += num_names
        if self._num_names > MOST_NAMES:
            raise InputError(
                f"{self.path}: expected at most {MOST_NAMES:,} variables and fields, got more. "
                "Save only those that are needed."
            )

    def reserve(self, num_bytes: int) -> None:
        """Refuses what would be more in all than a file may take."""
        self._num_bytes += num_bytes
        files.check_size(self.path, self._num_bytes)


def read(path: Path, choose: Choice) -> Content:
    """Reads the variables and fields of a .mat file that are chosen, in one pass.

    Args:
        choose: asked once for each struct that is wanted; what it leaves is not entered.
    Raises:
        InputError: the file is missing, no MATLAB file, damaged, in use, or too large for memory.
    """
    selection = _Selection(path, choose)
    read_version = _read_hdf5 if _find_version(path) == "7.3" else _read_v5
    try:
        return Content(read_version(selection), selection.left_out)
    except InputError:
        raise
    except MemoryError:
        raise InputError(
            f"{path}: expected memory for what it holds, got too little. Close other programs, or "
            "split the file."
        ) from None
    except BlockingIOError:
        raise InputError(
            f"{path}: expected a file that no program is writing, got one that is open elsewhere. "
            "Close it there, or take a copy."
        ) from None
    # The libraries pass on whatever a damaged file provokes in them.
    except Exception as error:
        raise InputError(describe_damage(path, error)) from None


def describe_damage(path: Path, error: Exception) -> str:
    """The line for a .mat or .npz file that its reader fails on."""
    reason = shorten(str(error).splitlines()[0] if str(error) else type(error).__name__, 120)
    kind = f"a whole {path.suffix} file"
    return f"{path}: expected {kind}, got a damaged one ({reason}). Write it again."


def _find_version(path: Path) -> str:
    """5 or 7.3; whatever else the file is, is refused by its name."""
    try:
        with open(files.open_regular(path), "rb") as file:
            head = file.read(HEADER_BYTES)
            size, offset = path.stat().st_size, 0
            while offset < size and not head.startswith(HDF5_SIGNATURE):
                offset = max(512, 2 * offset)
                file.seek(offset)
                if file.read(8) == HDF5_SIGNATURE:
                    return "7.3"
    except OSError as error:
        raise files.unreadable(path, "a readable .mat file", error, "Check the path.") from None
    if head.startswith(HDF5_SIGNATURE):
        return "7.3"
    if head[124:128] in (b"\x00\x01IM", b"\x01\x00MI"):
        return "5"
    raise InputError(
        f"{path}: expected a MATLAB file of version 5, 7 or 7.3, got {_guess(head, size)}. Save it "
        "with MATLAB's or Octave's save -v7."
    )


def _guess(head: bytes, size: int) -> str:
    if not head:
        return "an empty file"
    if len(head) >= 20:
        for order in "<>":  # version 4: type MOPT, rows, columns, whether complex, length of name
            kind, rows, columns, is_complex, name = struct.unpack_from(f"{order}5i", head)
            is_kind = 0 <= kind < 5000 and kind // 10 % 10 <= 5 and kind % 10 <= 2
            if is_kind and rows >= 0 and columns >= 0 and is_complex in (0, 1) and 0 < name < 64:
                return "one of version 4"
    for start, name in ((b"# ", "a text file of Octave's"), (b"Octave-1", "a binary of Octave's")):
        if head.startswith(start):
            return name
    if head.startswith((b"MATLAB", b"PK")):
        return f"the beginning of one ({size} bytes)" if head[:1] == b"M" else "a zip archive"
    return f"other content ({size} bytes)"


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Unpacked:
    """What zlib unpacks, no more at once than is asked for."""

    def __init__(self, file: _Source, size: int):
        self._file, self._left = file, size
        self._zlib, self._ready = zlib.decompressobj(), b""

    def read(self, size: int) -> bytes:
        pieces, missing = [], size
        while missing:
            if not self._ready:
                packed = self._zlib.unconsumed_tail
                if not packed:
                    packed = self._file.read(min(PIECE, self._left))
                    self._left -= len(packed)
                self._ready = self._zlib.decompress(packed, PIECE)
                if not packed and not self._ready:
                    break
            pieces.append(self._ready[:missing])
            self._ready = self._ready[missing:]
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def finish(self) -> None:
        """Refuses what is cut short, or does not add up to the sum at its end."""
        if self.read(1) or not self._zlib.eof:
            raise ValueError("packed data without an end")


class _Stream:
    """Elements of version 5 in order, of a file or unpacked from it."""

    def __init__(self, source: _Source, order: str, path: Path, num_packed: int | None):
        self._source, self._path, self._num_packed = source, path, num_packed
        self.order, self.position = order, 0

    def _check_size(self, size: int) -> None:
        files.check_size(self._path, size)
        if self._num_packed is not None:
            files.check_packing(str(self._path), size, self._num_packed)

    def read(self, size: int) -> bytes:
        self._check_size(size)
        content = self._source.read(size)
        if len(content) != size:
            raise ValueError(f"ends {size - len(content)} bytes early")
        self.position += size
        return content

    def skip_to(self, position: int) -> None:
        self._check_size(position)
        if position < self.position:
            raise ValueError("an element is longer than it says")
        while self.position < position:
            self.read(min(PIECE, position - self.position))

    def array(self) -> int:
        """Bytes of the array that follows."""
        kind, size = struct.unpack(f"{self.order}II", self.read(8))
        if kind != MATRIX:
            raise ValueError(f"data of type {kind} where an array is due")
        return size

    def data(self) -> tuple[int, bytes]:
        """Type and content of a data element."""
        (kind,) = struct.unpack(f"{self.order}I", self.read(4))
        if kind >> 16:  # up to four bytes, beside their length
            return kind & 0xFFFF, self.read(4)[: kind >> 16]
        (size,) = struct.unpack(f"{self.order}I", self.read(4))
        content = self.read(size)
        self.read(-size % 8)
        return kind, content

    def numbers(self) -> ndarray:
        kind, content = self.data()
        return np.frombuffer(content, self.order + STORED[kind])

    def name(self) -> str:
        return self.data()[1].decode("latin-1")


class _Head(NamedTuple):
    """How an array of version 5 begins; `is_readable` where its values are numbers or text."""

    name: str
    kind: str
    sides: tuple[int, ...]
    is_logical: bool
    is_readable: bool
    description: str

    @property
    def num_values(self) -> int:
        return int(np.prod(self.sides, dtype=object))


def _read_v5(selection: _Selection) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with open(files.open_regular(selection.path), "rb") as file:
        order = "<" if file.read(HEADER_BYTES)[126:] == b"IM" else ">"
        while tag := file.read(8):
            kind, size = struct.unpack(f"{order}II", tag)
            after = file.tell() + size
            packed = _Unpacked(file, size) if kind == COMPRESSED else None
            stream = _Stream(packed or file, order, selection.path, size if packed else None)
            size = stream.array() if packed else size
            if kind in (MATRIX, COMPRESSED) and size:
                selection.count(1)
                end, was = stream.position + size, len(found)
                head = _read_head(stream, "")
                is_wanted = head.name in selection.choose((), [head.name])
                _read_array(stream, (), head, is_wanted, selection, found)
                if packed and len(found) > was:
                    stream.skip_to(end)
                    packed.finish()
            if after > file.seek(0, os.SEEK_END):
                raise ValueError("ends within a variable")
            file.seek(after)
    return found


def _read_array(
    stream: _Stream,
    place: Place,
    head: _Head,
    is_wanted: bool,
    selection: _Selection,
    into: dict[str, Any],
) -> None:
    """Puts an array into `into` unless it is passed over."""
    here = (*place, head.name)
    if head.kind == "struct" and head.num_values == 1 and is_wanted:
        into[head.name] = {}
        _read_fields(stream, here, selection, into[head.name])
    elif head.is_readable and is_wanted:
        selection.reserve(head.num_values * 8)
        into[head.name] = _read_values(stream, head)
    else:
        selection.left_out[here] = head.description


def _read_head(stream: _Stream, field: str) -> _Head:
    flags = int(stream.numbers()[0])
    number, is_complex, is_logical = flags & 0xFF, bool(flags & 0x800), bool(flags & 0x200)
    if number == OPAQUE:
        name, _, what = stream.name(), stream.name(), stream.name()
        return _Head(field or name, "object", (), False, False, f"{what} object")
    sides, own = tuple(stream.numbers().tolist()), stream.name()
    kind = CLASSES.get(number, "unknown class")
    shown = ("complex " if is_complex else "") + ("logical" if is_logical else kind)
    is_plain = number == CHAR or 6 <= number <= 15
    is_readable = is_plain and not is_complex and min(sides, default=0) >= 0
    description = f"{'x'.join(map(str, sides))} {shown}"
    return _Head(field or own, kind, sides, is_logical, is_readable, description)


def _read_fields(
    stream: _Stream, place: Place, selection: _Selection, into: dict[str, Any]
) -> None:
    length = max(1, int(stream.numbers()[0]))
    packed = stream.data()[1]
    selection.count(-(-len(packed) // length))
    starts = range(0, len(packed), length)
    names = [packed[k : k + length].split(b"\0")[0].decode("latin-1") for k in starts]
    wanted = selection.choose(place, names)
    for name in names:
        size = stream.array()
        end = stream.position + size
        if size:
            head = _read_head(stream, name)
            _read_array(stream, place, head, name in wanted, selection, into)
        stream.skip_to(end)


def _read_values(stream: _Stream, head: _Head) -> Any:
    if head.kind == "char":
        kind, packed = stream.data()
        order = {"<": "-le", ">": "-be"}[stream.order] if TEXTS[kind][4:] in ("16", "32") else ""
        return packed.decode(TEXTS[kind] + order, "replace")
    stored = stream.numbers()
    if len(stored) != head.num_values:
        raise ValueError(f"{head.name} has {len(stored)} values of {head.num_values}")
    dtype = "bool" if head.is_logical else NUMPY_NAMES.get(head.kind, head.kind)
    return _simplify(stored.astype(dtype).reshape(head.sides, order="F"))


def _simplify(values: ndarray) -> Any:
    """Rows and columns as vectors, a single value as a number."""
    return values.item() if values.size == 1 else values.squeeze()


def _read_hdf5(selection: _Selection) -> dict[str, Any]:
    import h5py  # only foreign files need it, and it is slow to load

    found: dict[str, Any] = {}
    with h5py.File(selection.path, "r") as file:
        _, first = next(_items(file), ("", None))
        if first is not None and "OCTAVE_NEW_FORMAT" in first.attrs:
            raise InputError(
                f"{selection.path}: expected a MATLAB file of version 7.3, got HDF5 of Octave's "
                "own form. Save it with Octave's save -v7."
            )
        _read_group(file, (), selection, found)
    return found


def _items(group: Any) -> Iterator[tuple[str, Any]]:
    """What an HDF5 group itself holds, None where a link leads elsewhere."""
    import h5py

    for name in group:
        if name[0] != "#":  # where MATLAB keeps what its objects refer to
            is_own = isinstance(group.get(name, getlink=True), h5py.HardLink)
            yield name, group[name] if is_own else None


def _read_group(group: Any, place: Place, selection: _Selection, into: dict[str, Any]) -> None:
    selection.count(len(group))
    items = dict(_items(group))
    wanted = selection.choose(place, list(items))
    for name, item in items.items():
        here = (*place, name)
        kind, is_readable = _classify(item)
        if not is_readable or name not in wanted:
            selection.left_out[here] = kind
        elif kind == "struct":
            into[name] = {}
            _read_group(item, here, selection, into[name])
        else:
            # To read one value a whole chunk is unpacked.
            num_bytes = 8 * max(item.size, int(np.prod(item.chunks or (), dtype=object)))
            selection.reserve(num_bytes)
            if item.id.get_storage_size():
                where = f"{selection.path}: {name}"
                files.check_packing(where, num_bytes, item.id.get_storage_size())
            into[name] = _read_dataset(item, kind)


def _classify(item: Any) -> tuple[str, bool]:
    """The MATLAB class of what an HDF5 group holds, or what else it is, and whether we read it."""
    import h5py

    if item is None or isinstance(item, h5py.Datatype):
        return "link to elsewhere" if item is None else "datatype", False
    kind = item.attrs.get("MATLAB_class", b"")
    kind = shorten(kind.decode("latin-1") if isinstance(kind, bytes) else str(kind))
    if isinstance(item, h5py.Group):
        _, first = next(_items(item), ("", None)) if len(item) <= MOST_NAMES else ("", None)
        # In several structs a field refers to its values, without a class as a cell has it.
        is_array = first is not None and _is_reference(first) and "MATLAB_class" not in first.attrs
        return ("struct array", False) if is_array else (kind or "struct", kind in ("", "struct"))
    sides = "x".join(map(str, reversed(item.shape or ())))
    if "MATLAB_object_decode" in item.attrs or _is_reference(item):
        return kind if kind == "cell" else f"{kind or 'reference'} object", False
    if item.is_virtual or item.id.get_create_plist().get_external_count():
        return "dataset that is stored elsewhere", False
    if item.dtype.kind not in "fiub" or item.shape is None:
        return f"{sides} {item.dtype} dataset", False
    name = MATLAB_NAMES.get(item.dtype.name, item.dtype.name)
    return kind if kind in ("char", "logical") else f"{sides} {name}", True


def _is_reference(item: Any) -> bool:
    import h5py

    return isinstance(item, h5py.Dataset) and h5py.check_ref_dtype(item.dtype) is not None


def _read_dataset(item: Any, kind: str) -> Any:
    if item.attrs.get("MATLAB_empty"):  # what is stored is the size of the empty array
        return "" if kind == "char" else np.zeros((0, 0))
    if item.size and not item.id.get_storage_size():
        raise ValueError(f"{item.name} claims {item.size:,} values and holds none")
    value = np.asarray(item[()])
    if kind == "char":
        return value.astype("<u2").tobytes().decode("utf-16-le", "replace")
    # HDF5 holds MATLAB's columns in reverse dimension order.
    return _simplify((value.astype(np.bool_) if kind == "logical" else value).T)
