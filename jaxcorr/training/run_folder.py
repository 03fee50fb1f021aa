"""Run folders `runs/<id>/`: made, found by name, listed with their state, their JSON files read."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxcorr.errors import InputError
from jaxcorr.training import locks

if TYPE_CHECKING:
    from jaxcorr.spec import Spec

LATEST = "latest"
SPEC_FILE = "spec.toml"  # of a run, as it was given
RESOLVED = {"spec", "split", "fingerprint", "num_inputs", "num_devices"}  # of resolved.json
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "scipy")


@dataclasses.dataclass(frozen=True)
class Run:
    """One run folder. Everything in it is relative to it, so it can be moved."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

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
    def tensorboard(self) -> Path:
        return self.path / "tb"

    @property
    def export(self) -> Path:
        return self.path / "export"

    def read_json(self, name: str) -> Any:
        """The content of one of the run's JSON files.

        Raises:
            InputError: the file is missing or damaged.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"{path}: expected a readable file, got '{error.strerror}'. The run is incomplete; "
                "train it again."
            ) from None
        except ValueError as error:
            raise InputError(f"{path}: expected JSON, got {error}. Train the run again.") from None

    def resolved(self) -> dict[str, Any]:
        """What resolved.json says of how the run began.

        Raises:
            InputError: the file is missing, damaged or not one that `experiment.begin` wrote.
        """
        content = self.read_json("resolved.json")
        missing = RESOLVED - content.keys() if isinstance(content, dict) else RESOLVED
        if missing:
            raise InputError(
                f"{self.path}/resolved.json: expected key '{min(missing)}', got none. "
                "Train the run again."
            )
        return content

    def spec(self) -> "Spec":
        """The run's spec with every default as it was when the run began."""
        from jaxcorr import spec as specs  # a list of runs, or of their names, needs no validation

        return specs.from_table(self.resolved()["spec"], f"{self.path}/resolved.json")


class Row(NamedTuple):
    """A run in a list of runs; metrics are None until there are any."""

    id: str
    state: str  # running, interrupted, trained, evaluated, damaged
    age_s: float | None
    epochs: int
    val_mae_mm: float | None
    test_mae_mm: float | None
    test_r2: float | None


def create(folder: Path, name: str) -> Run:
    """Makes a new run folder `<folder>/<time>-<name>`; two at once get two folders.

    Raises:
        InputError: the folder cannot be made.
    """
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    slug = slug_of(name)
    for attempt in range(1, 1000):
        path = folder / (f"{stamp}-{slug}" if attempt == 1 else f"{stamp}-{slug}-{attempt}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(
                f"{path}: expected a folder that can be made, got '{error.strerror}'. "
                "Choose another with --runs."
            ) from None
        return Run(path)
    raise InputError(
        f"{folder}: expected a free run id, got 999 taken. Wait a second and try again."
    )


def slug_of(name: str) -> str:
    """A name as it stands in a run's id, after the time."""
    return re.sub(r"[^\w.-]+", "-", name) or "run"


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's: its last file is there."""
    return (folder / "resolved.json").is_file()


def find(text: str, folder: Path = Path("runs")) -> Run:
    """The run that a person means: a path, an id, a unique start of one, or `latest`.

    Raises:
        InputError: no run or several match.
    """
    path = Path(text)
    if is_run(path) and path.name != LATEST:
        return Run(path)
    if path.is_dir() and path.name not in (folder.name, LATEST):
        raise InputError(
            f"{text}: expected a run folder with resolved.json, got a folder without. "
            "See `just runs` for runs."
        )
    home = path.parent if path.parent != Path() else folder
    known = [run.path.name for run in list_all(home)]
    if path.name == LATEST and known:
        return Run(home / known[-1])
    matches = [name for name in known if name.startswith(path.name)] if path.name else []
    if path.name in matches or len(matches) == 1:
        return Run(home / (path.name if path.name in matches else matches[0]))
    got = f"{len(matches)} that match: {', '.join(matches)}" if matches else "none"
    known_text = ", ".join(known[-5:]) or "none yet; train one"
    raise InputError(f"{text}: expected one run, got {got}. Runs: {known_text}.")


def list_all(folder: Path = Path("runs")) -> list[Run]:
    """All runs of a folder, oldest first."""
    found = [path.parent for path in folder.glob("*/resolved.json")] if folder.is_dir() else []
    found = [path for path in found if path.name != LATEST]  # a link to one of them
    return [Run(path) for path in sorted(found, key=lambda p: (p.name[:15], p.stat().st_mtime_ns))]


def point_latest(run: Run) -> None:
    """Makes `latest` beside a run a link to it, for shells and other programs.

    Here `latest` is a word, whether there is such a link or not.
    """
    link = run.path.parent / LATEST
    if link.exists() and not link.is_symlink():
        return  # somebody's own
    partial = link.with_name(f".{LATEST}.{os.getpid()}")
    with contextlib.suppress(OSError):  # a file system without links
        partial.symlink_to(run.path.name)
        partial.replace(link)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Rows of a .jsonl file; a last line cut short by a crash is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def list_runs(folder: Path) -> list[Row]:
    """All runs of a folder, oldest first."""
    return [_describe(run) for run in list_all(folder)]


def _describe(run: Run) -> Row:
    from jaxcorr import metrics  # names of runs, as the shell completes them, need no validation

    try:
        resolved = run.resolved()
        made = datetime.datetime.fromisoformat(resolved["created"])
        path = run.path / metrics.FILE
        overall = metrics.read(path).test.overall if path.exists() else None
        history = read_lines(run.history)
        errors = [row["val_mae_mm"] for row in history if row.get("val_mae_mm") is not None]
        return Row(
            id=run.id,
            state=_state(run, resolved["spec"]["train"], history, overall is not None),
            age_s=(datetime.datetime.now(datetime.UTC) - made).total_seconds(),
            epochs=len(history),
            val_mae_mm=min(errors, default=None),
            test_mae_mm=overall.mae_mm if overall else None,
            test_r2=overall.r2 if overall else None,
        )
    # A file that was cut or edited must not hide the other runs.
    except (InputError, OSError, KeyError, ValueError, TypeError, AttributeError):
        return Row(run.id, "damaged", None, 0, None, None, None)


def _state(
    run: Run, train: dict[str, Any], history: list[dict[str, Any]], is_evaluated: bool
) -> str:
    if locks.holder(run.path / locks.TRAINING):
        return "running"
    if is_evaluated:
        return "evaluated"
    errors = [row.get("val_mae_mm", row["train_mae_mm"]) for row in history]
    waited = len(errors) - 1 - errors.index(min(errors)) if errors else 0
    is_done = len(history) >= train["epochs"] or 0 < train["patience"] <= waited
    return "trained" if is_done else "interrupted"


def describe_machine() -> dict[str, Any]:
    """Versions, commit and machine, for resolved.json."""
    return {
        "versions": {name: importlib.metadata.version(name) for name in ("jaxcorr", *PACKAGES)},
        "python": platform.python_version(),
        "git_commit": _git_commit(),
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


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
