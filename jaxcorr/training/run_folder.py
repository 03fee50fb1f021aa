"""Run folders `runs/<id>/`: made, found by name, listed with their state, their JSON files read."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jaxcorr import files
from jaxcorr.errors import InputError, command, plain, shorten
from jaxcorr.training import locks

if TYPE_CHECKING:
    from jaxcorr.run_records import EpochRow, Origin, PathAlone, Resolved, TimingRow
    from jaxcorr.spec import Spec

LATEST = "latest"
SPEC_FILE = "spec.toml"  # of a run, as it was given
MOST_LISTED = 5  # runs in a message
PATH_ALONE_FILE = "path_alone.json"
RESOLVED_FILE = "resolved.json"  # the last file of a run that is written before its first step
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "scipy")


@dataclasses.dataclass(frozen=True)
class Run:
    """One run folder. Everything in it is relative to it, so it can be moved."""

    path: Path

    @property
    def id(self) -> str:
        """The folder's name, harmless in any text."""
        return plain(self.path.name)

    @property
    def name(self) -> str:
        """The id without its time."""
        return re.sub(r"^\d{8}-\d{6}-", "", self.path.resolve().name)

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def timings(self) -> Path:
        return self.path / "timings.jsonl"

    @property
    def boards(self) -> list[Path]:
        """TensorBoard's event files, which lie in the folder itself: it names a run by theirs."""
        return sorted(self.path.glob("events.*"))

    @property
    def export(self) -> Path:
        return self.path / "export"

    @property
    def has_model(self) -> bool:
        """Whether there is a checkpoint, which may be anything but a promise that it is good."""
        try:
            return any(path.name.isdigit() for path in self.checkpoints.iterdir())
        except OSError:
            return False

    # The records and the spec load what validates them: a list of runs' names needs none of it.

    def resolved(self) -> "Resolved":
        """How the run began.

        Raises:
            InputError: resolved.json is missing, damaged or altered.
        """
        from jaxcorr import run_records as records

        return records.read_resolved(self.path / RESOLVED_FILE)

    def spec(self) -> "Spec":
        """The run's spec with every default as it was when the run began.

        Raises:
            InputError: as `resolved`, or the spec in it is refused.
        """
        from jaxcorr import spec as specs

        return specs.from_table(self.resolved().spec, f"{self.path / RESOLVED_FILE}")

    def read_history(self) -> "list[EpochRow]":
        """The epochs that are completed.

        Raises:
            InputError: a line of history.jsonl is damaged or altered.
        """
        from jaxcorr import run_records as records

        return records.read_history(self.history)

    def read_path_alone(self) -> "PathAlone | None":
        """The validation of its path before the first epoch, if it has a path and a validation.

        Raises:
            InputError: path_alone.json is damaged or altered.
        """
        from jaxcorr import run_records as records

        return records.read_path_alone(self.path / PATH_ALONE_FILE)

    def read_timings(self) -> "list[TimingRow]":
        """How long they took.

        Raises:
            InputError: a line of timings.jsonl is damaged or altered.
        """
        from jaxcorr import run_records as records

        return records.read_timings(self.timings)


class Row(NamedTuple):
    """A run in a list of runs; metrics are None until there are any."""

    id: str
    state: str  # running, interrupted, trained, evaluated, damaged
    age_s: float | None
    epochs: int
    val_mae_mm: float | None
    test_mae_mm: float | None
    test_r2: float | None


def create(folder: Path, name: str, fill_fn: Callable[[Path], None]) -> Run:
    """Makes a run folder `<folder>/<time>-<name>`, whole or not at all; two at once get two.

    Args:
        fill_fn: writes what the run begins with into the folder that it is given.
    Raises:
        InputError: the folder cannot be made.
        OSError: a file in it cannot be written.
    """
    run_id = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{slug_of(name)}"
    maker = f"{os.getpid()}.partial.{threading.get_ident()}"
    partial = folder / f".{run_id}.{files.HOST}.{maker}"
    files.remove_leftovers(folder)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise InputError(
            f"{folder / run_id}: expected a folder that can be made, got '{error.strerror}'. "
            "Choose another with --runs."
        ) from None
    try:
        fill_fn(partial)
        for path in (folder / f"{run_id}{end}" for end in ("", *(f"-{i}" for i in range(2, 1000)))):
            # What is there and not empty, another process's run as well, refuses the name.
            with contextlib.suppress(OSError):
                return Run(partial.rename(path))
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    raise InputError(
        f"{folder}: expected a free run id, got 999 taken. Wait a second and try again."
    )


def slug_of(name: str) -> str:
    """A name as it stands in a run's id, after the time."""
    return re.sub(r"[^\w.-]+", "-", name) or "run"


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's: its last file is there."""
    return (folder / RESOLVED_FILE).is_file()


def find(text: str, folder: Path = Path("runs")) -> Run:
    """The run that a person means: a path, an id, a unique start of one, or `latest`.

    Args:
        text: `latest` is the newest run that has a model.
    Raises:
        InputError: no run or several match, or a file of it lies elsewhere.
    """
    path = Path(text)
    if is_run(path) and path.name != LATEST:
        return _checked(Run(path))
    if path.is_dir() and path.name not in (folder.name, LATEST):
        raise InputError(
            f"{text}: expected a run folder with {RESOLVED_FILE}, got a folder without. "
            f"See `{command('runs')}` for runs."
        )
    home = path.parent if path.parent != Path() else folder
    known = list_all(home)
    if path.name == LATEST and known:
        with_model = [run for run in known if run.has_model]
        if not with_model:
            raise InputError(
                f"{text}: expected a run with a model, got {len(known)} without. Name one to go on "
                "with, or train one."
            )
        return _checked(with_model[-1])
    return _checked(Run(home / _only_match(text, path.name, [run.path.name for run in known])))


def _only_match(text: str, start: str, known: Sequence[str]) -> str:
    matches = [name for name in known if name.startswith(start)] if start else []
    if start in matches or len(matches) == 1:
        return start if start in matches else matches[0]
    listed = ", ".join(matches[:MOST_LISTED]) + ("..." if matches[MOST_LISTED:] else "")
    got = f"{len(matches)} that match: {listed}" if matches else "none"
    known_text = ", ".join(known[-MOST_LISTED:]) or "none yet; train one"
    raise InputError(f"{shorten(text)}: expected one run, got {got}. Runs: {known_text}.")


def _checked(run: Run) -> Run:
    """Refuses a run of which a path leads out, or which holds a pipe: both would be opened."""
    home = run.path.resolve()
    if re.search(r"[\\\x00-\x1f\x7f]", str(home)):
        raise InputError(
            f"{run.path}: expected a path without backslashes and control characters, which "
            "checkpoints cannot have. Rename the folder."
        )
    for folder, folders, names in os.walk(home):
        for name in (*folders, *names):
            path = Path(folder) / name
            is_own = path.is_file() or path.is_dir() or not path.exists()
            if not is_own or (path.is_symlink() and not path.resolve().is_relative_to(home)):
                kind = "a link that leads out of it" if path.is_symlink() else "a pipe or a device"
                raise InputError(
                    f"{run.path}: expected files and folders of its own, got {kind}: "
                    f"{path.relative_to(home)}. Put a copy in its place, or remove it."
                )
    return run


def list_all(folder: Path = Path("runs")) -> list[Run]:
    """All runs of a folder, oldest first."""
    found = [path.parent for path in folder.glob(f"*/{RESOLVED_FILE}")] if folder.is_dir() else []
    # Neither a link to one of them, nor one that is being made.
    found = [path for path in found if path.name != LATEST and path.name[0] != "."]
    return [Run(path) for path in sorted(found, key=lambda p: (p.name[:15], p.stat().st_mtime_ns))]


def point_latest(run: Run) -> None:
    """Makes `latest` beside a run a link to it, for shells and other programs.

    Here `latest` is a word, whether there is such a link or not.
    """
    link = run.path.parent / LATEST
    if link.exists() and not link.is_symlink():
        return  # somebody's own
    # Without links in the file system there is none.
    with contextlib.suppress(OSError), files.write_whole(link) as partial:
        partial.symlink_to(run.path.name)


def list_runs(folder: Path) -> list[Row]:
    """All runs of a folder, oldest first."""
    return [_describe(run) for run in list_all(folder)]


def _describe(run: Run) -> Row:
    from jaxcorr import metrics  # names of runs, as the shell completes them, need no validation

    try:
        made, spec = run.resolved().created, run.spec()
        path = run.path / metrics.FILE
        overall = metrics.read(path).test.overall if path.exists() else None
        history, alone = run.read_history(), run.read_path_alone()
    # A file that was cut or edited must not hide the other runs.
    except InputError:
        return Row(run.id, "damaged", None, 0, None, None, None)
    before = [alone.val_mae_mm] if alone else []
    errors = before + [row["val_mae_mm"] for row in history if "val_mae_mm" in row]
    return Row(
        id=run.id,
        state=_state(run, spec, history, before, overall is not None),
        age_s=(datetime.datetime.now(datetime.UTC) - made).total_seconds(),
        epochs=len(history),
        val_mae_mm=min(errors, default=None),
        test_mae_mm=overall.mae_mm if overall else None,
        test_r2=overall.r2 if overall else None,
    )


def _state(
    run: Run, spec: "Spec", history: "list[EpochRow]", before: list[float], is_evaluated: bool
) -> str:
    if locks.holder(run.path / locks.TRAINING):
        return "running"
    if is_evaluated:
        return "evaluated"
    errors = before + [row.get("val_mae_mm", row["train_mae_mm"]) for row in history]
    waited = len(errors) - 1 - errors.index(min(errors)) if errors else 0
    is_done = len(history) >= spec.train.epochs or 0 < spec.train.patience <= waited
    return "trained" if is_done else "interrupted"


def describe_machine() -> "Origin":
    """Versions, commit and machine, for resolved.json."""
    from jaxcorr.run_records import Machine, Origin

    return Origin(
        versions={name: importlib.metadata.version(name) for name in ("jaxcorr", *PACKAGES)},
        python=platform.python_version(),
        git_commit=_git_commit(),
        machine=Machine(system=platform.platform(), processor=_processor(), cores=os.cpu_count()),
        created=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
    )


def _git_commit() -> str | None:
    """The commit of the source tree, `+` where it has changes; None outside of git."""
    root = Path(__file__).parent.parent.parent
    try:
        commit = _run_git(root, ("rev-parse", "HEAD"))
        return commit + ("+" if _run_git(root, ("status", "--porcelain", "-uno")) else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _run_git(root: Path, arguments: Iterable[str]) -> str:
    result = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else []
    return names[0] if names else platform.processor()
