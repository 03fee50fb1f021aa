"""A table of float32 rows that grows: in memory while it is small, on disk beyond that.

The file has no name, so it is gone with its process however that ends, two processes never share
one, and nothing is left to clean up. The module does not know what the columns mean.
"""

import contextlib
import mmap
import os
import tempfile
from types import TracebackType

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from jaxcorr.errors import InputError

MOST_IN_MEMORY = 64 * 2**20  # bytes
# Temporary files of any size belong here; /tmp is memory on many machines.
LARGE_FILES = "/var/tmp"


class RowSpool:
    """Takes rows one piece after the other and gives them back as one read-only array."""

    def __init__(self, num_columns: int) -> None:
        """Begins an empty table of this width."""
        self._num_columns = num_columns
        self._num_bytes = 0
        self._folder = folder()
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - __exit__ closes it
            MOST_IN_MEMORY, dir=self._folder
        )

    def __enter__(self) -> "RowSpool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del kind, error, trace
        # On a full disk closing tries once more to write what is to be dropped.
        with contextlib.suppress(OSError):
            self._file.close()

    def append(self, rows: Float32[ndarray, "n c"]) -> None:
        """Adds rows below those that are there.

        Raises:
            InputError: the disk has no room.
        """
        assert rows.shape[1] == self._num_columns
        try:
            self._num_bytes += self._file.write(rows.tobytes())
        except OSError as error:
            raise self._refusal(error) from None

    def finish(self) -> Float32[ndarray, "rows c"]:
        """All rows; on disk they are mapped, and stay valid after the spool is closed.

        Raises:
            InputError: the disk has no room.
        """
        try:
            self._file.seek(0)
            if self._num_bytes <= MOST_IN_MEMORY:
                content = self._file.read()
            else:
                content = mmap.mmap(self._file.fileno(), self._num_bytes, access=mmap.ACCESS_READ)
        except OSError as error:
            raise self._refusal(error) from None
        return np.frombuffer(content, np.float32).reshape(-1, self._num_columns)

    def _refusal(self, error: OSError) -> InputError:
        where = self._folder or tempfile.gettempdir()
        return InputError(
            f"{where}: expected room for the samples, got '{error.strerror}' after "
            f"{self._num_bytes / 2**20:.0f} MiB. Make room, or set TMPDIR to another folder."
        )


def folder() -> str | None:
    """Where large tables go: TMPDIR where it is set, else /var/tmp; None where Python chooses."""
    is_free = "TMPDIR" not in os.environ and os.access(LARGE_FILES, os.W_OK | os.X_OK)
    return LARGE_FILES if is_free else None


def release(rows: ndarray) -> None:
    """Gives the memory of a table on disk back; its next reader finds the same rows there again.

    Pages that were read count as the process's memory until something else needs it, so one that
    goes through a large table says when it is done with a stretch. In memory nothing happens.
    """
    owner = rows
    while isinstance(owner, ndarray):
        owner = owner.base
    owner = owner.obj if isinstance(owner, memoryview) else owner
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)
