"""What every command that trains does around a training; it knows the terminal, signals and locks.

Traces are made first where a spec asks for it, one process at a time trains a run, Ctrl-C ends it
cleanly, and its curves are drawn. Heavy modules load inside the functions that use them.
"""

import contextlib
import hashlib
import os
import platform
import re
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from jaxcorr.errors import InputError
from jaxcorr.spec import Spec
from jaxcorr.training import locks
from jaxcorr.training.run_folder import Run, read_lines

if TYPE_CHECKING:
    from jaxcorr.training.experiment import Experiment
    from jaxcorr.training.loop import Event, Finished


def prepare(spec: Spec, is_cached: bool = True, is_joined: bool = False) -> None:
    """Makes the traces that the spec simulates and that are not there, and sets jax up.

    Args:
        is_cached, is_joined: as for `start_jax`.
    Raises:
        InputError: a part is unknown, other files are in the way, or there is no such device.
    """
    from jaxcorr.training import hosts

    start_jax(spec, is_cached, is_joined)
    with hosts.together():
        if hosts.is_writer():
            _make_traces(spec)


def _make_traces(spec: Spec) -> None:
    from jaxcorr.cli import console
    from jaxcorr.data import collect, parts

    simulate = collect.traces_to_make(spec.data)
    if simulate is None:
        return
    for part in simulate.parts:
        console.err.print(f"traces of {parts.find_part(part)[1]}", markup=False)
        console.follow_collection(collect.simulate_part(simulate, part), part)


def start_jax(spec: Spec, is_cached: bool = True, is_joined: bool = False) -> None:
    """Makes jax compute on the spec's kind of device, `auto` as jax chooses, and on enough of them.

    A CPU counts as one device unless told otherwise before jax first computes; here it becomes one
    for each core, or as many as the spec or else JAX_NUM_CPU_DEVICES asks for.

    Args:
        is_cached: what earlier processes compiled is used again, and kept for later ones.
        is_joined: other processes that the environment names take part in the training.
    Raises:
        InputError: jax finds no such device, or other processes do not come.
    """
    import jax

    from jaxcorr.training import hosts

    num_processes = hosts.join() if is_joined else 1
    if is_cached:
        keep()
    if "JAX_NUM_CPU_DEVICES" not in os.environ:
        wanted = -(-spec.train.num_devices // num_processes)
        num_devices = wanted or len(os.sched_getaffinity(0))
        # In a process that computes already, the devices are those that there are.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", num_devices)
    device = spec.train.device
    if device == "auto":
        return
    try:
        found = jax.local_devices(backend=device)
    except RuntimeError:
        raise InputError(
            f"train.device: expected a {device} that jax can use, got only "
            f"{jax.default_backend()}. Set train.device = 'auto', or install the cuda extra."
        ) from None
    jax.config.update("jax_default_device", found[0])


def catch_interrupt() -> list[int]:
    """The first Ctrl-C asks for a clean stop by filling the list, the second one stops at once."""
    requested: list[int] = []

    def on_interrupt(number: int, _frame: FrameType | None) -> None:
        if requested:
            raise KeyboardInterrupt
        requested.append(number)
        # Not by print: a signal may arrive in the middle of one, and a second would be refused.
        os.write(sys.stderr.fileno(), b"stopping after this dispatch; Ctrl-C again stops at once\n")

    signal.signal(signal.SIGINT, on_interrupt)
    signal.signal(signal.SIGTERM, on_interrupt)
    return requested


def follow(begun: "Experiment", events: "Iterator[Event]") -> "Finished":
    """Shows a training as it goes, as the only one of this run, and draws its curves.

    Of processes that train together, one shows it; where another is gone, all end.

    Raises:
        InputError: another process trains the run.
    """
    import jax

    from jaxcorr.training import hosts

    try:
        return _show(begun, events) if hosts.is_writer() else follow_quietly(begun, events)
    except jax.errors.JaxRuntimeError as error:
        if hosts.is_alone():
            raise
        reason = str(error).splitlines()[0]
        print(
            f"{begun.run.path}: expected all processes to go on, got '{reason}'. Checkpoints are "
            "intact: start all of them again, with `just resume`.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)  # else jax waits for the one that is gone, and then aborts


def _show(begun: "Experiment", events: "Iterator[Event]") -> "Finished":
    from jaxcorr.cli import console
    from jaxcorr.training import loop

    spec, plan = begun.spec, loop.plan_for(begun.spec, begun.data)
    per_window = spec.data.window if spec.data.supervision == "all" else 1
    per_dispatch = plan.steps_per_dispatch * spec.data.batch_size * per_window
    with _alone(begun.run):
        console.err.print(f"run {begun.run.path}", markup=False)
        return console.follow_training(events, spec.train.epochs, per_dispatch)


def follow_quietly(begun: "Experiment", events: "Iterator[Event]") -> "Finished":
    """As `follow`, for one of several workers, whose lines would mix: shows nothing.

    Raises:
        InputError: another process trains the run.
    """
    from jaxcorr.training import loop

    with _alone(begun.run):
        for event in events:
            if isinstance(event, loop.Finished):
                return event
    raise AssertionError("a training ends with Finished")


@contextlib.contextmanager
def _alone(run: Run) -> Iterator[None]:
    """Holds the run's lock, and draws its curves however the training ends."""
    from jaxcorr.training import hosts

    with contextlib.ExitStack() as stack:
        with hosts.together():
            if hosts.is_writer():
                stack.enter_context(locks.hold(run.path / locks.TRAINING))
                stack.callback(draw_curves, run)
        yield


def draw_curves(run: Run) -> None:
    """Draws a run's history, if it has one, into its folder."""
    from jaxcorr import plotting
    from jaxcorr.cli import console

    rows = read_lines(run.history)
    try:
        if rows:
            plotting.draw_history(rows, run.path / "curves.png", run.path / "curves.svg")
    except OSError as error:
        # The training is saved; a full disk should not turn it into a failure.
        console.err.print(f"{run.path}: no curves drawn, {error.strerror}", markup=False)


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
