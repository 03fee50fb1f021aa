"""Keeps what jax has compiled from one process to the next, in the user's cache folder.

It halves a core's work until the medium network has trained for an epoch. The module knows files
and jax's settings; it does not know what is compiled.
"""

import hashlib
import os
import platform
import re
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

COMMON_S = 0.2  # what compiles sooner is compiled again
OLDEST_DAYS = 30


def keep() -> None:
    """Lets jax keep and find what takes long to compile; without a place for it, nothing changes.

    A folder in JAX_COMPILATION_CACHE_DIR is jax's own business.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = find_folder(os.environ)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_old(folder)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    import jax

    # A full disk or a file that a kill cut short costs time, and no more.
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", COMMON_S)


def find_folder(environment: Mapping[str, str]) -> Path:
    """A folder for this kind of processor: another one may lack instructions of a program."""
    base = Path(environment.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    digest = hashlib.sha256(_processor().encode()).hexdigest()
    return base / "jaxcorr" / "xla" / digest[:12]


def _processor() -> str:
    try:
        found = re.findall(r"^(?:flags|Features|model name)\s*:.*", _cpuinfo(), re.MULTILINE)
    except OSError:
        found = []
    return "\n".join(sorted(set(found))) or platform.processor()


def _cpuinfo() -> str:
    return Path("/proc/cpuinfo").read_text(encoding="utf-8")


def _remove_old(folder: Path) -> None:
    """Removes what was compiled long ago, so that the folder does not grow for ever."""
    oldest = time.time() - OLDEST_DAYS * 24 * 3600
    for path in folder.iterdir():
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
