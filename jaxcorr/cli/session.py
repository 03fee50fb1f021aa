"""Around every training of the command line: traces made, jax set up, stopped and shown.

Traces are made first where a spec asks for it; jax gets its devices and a folder for compiled
programs; one process at a time trains a run, Ctrl-C ends it cleanly, its progress is shown and its
curves are drawn. Heavy modules load inside the functions that use them.
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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import typer

from jaxcorr import interrupts
from jaxcorr.errors import InputError, command
from jaxcorr.interrupts import INTERRUPTED
from jaxcorr.spec import Spec
from jaxcorr.training import locks
from jaxcorr.training.run_folder import Run

if TYPE_CHECKING:
    from jaxcorr.training.experiment import Experiment
    from jaxcorr.training.loop import Begun, EpochDone, Event, Finished

COMMON_S = 0.2  # what compiles sooner is compiled again
OLDEST_DAYS = 30  # that a compiled program is kept


def prepare(spec: Spec, is_cached: bool = True, is_joined: bool = False) -> None:
    """Makes the traces that the spec simulates and that are not there, and sets jax up.

    Args:
        is_cached, is_joined: as for `start_jax`.
    Raises:
        InputError: a part is unknown, other files are in the way, there is no such device, or the
            spec takes more memory than there is.
    """
    from jaxcorr.training import devices, hosts

    start_jax(spec, is_cached, is_joined)
    devices.check_memory(spec)
    with hosts.together():
        if hosts.is_writer():
            _make_traces(spec)


def _make_traces(spec: Spec) -> None:
    from jaxcorr.cli import console
    from jaxcorr.data import collect, parts

    simulate = collect.traces_to_make(spec.data)
    if simulate is None:
        return
    home = collect.home_of(spec.data)
    for part in simulate.parts:
        console.err.print(f"traces of {parts.find_part(part)[1]}", markup=False)
        console.follow_collection(collect.simulate_part(simulate, part, home), part)


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

    from jaxcorr.training import devices, hosts

    num_processes = hosts.join() if is_joined else 1
    if is_cached:
        keep()
    if "JAX_NUM_CPU_DEVICES" not in os.environ:
        wanted = -(-spec.train.num_devices // num_processes)
        num_devices = wanted or len(os.sched_getaffinity(0))
        # In a process that computes already, the devices are those that there are.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", num_devices)
    devices.require_cpu()
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


def catch_interrupt() -> list[int]:
    """The first Ctrl-C asks for a clean stop by filling the list, the second one stops at once."""
    requested: list[int] = []

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if requested:
            interrupts.on_interrupt(number, frame)
            return
        requested.append(number)
        # Not by print: a signal may arrive in the middle of one, and a second would be refused.
        os.write(sys.stderr.fileno(), b"stopping after this dispatch; Ctrl-C again stops at once\n")

    signal.signal(signal.SIGINT, on_interrupt)
    signal.signal(signal.SIGTERM, on_interrupt)
    return requested


@contextlib.contextmanager
def refusing_divergence() -> Iterator[None]:
    """Ends the command with one line and exit code 1 where a training diverges."""
    from jaxcorr.training import loop

    try:
        yield
    except loop.NonFiniteLoss as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None


def stop(how: str = "the same command goes on") -> NoReturn:
    """Ends an interrupted command, and says how to go on."""
    from jaxcorr.cli import console

    console.err.print(f"interrupted and saved; {how}", markup=False)
    raise typer.Exit(INTERRUPTED)


def train_all(
    base: Path, jobs: Sequence[Sequence[str]], folder: Path, with_ceiling: bool
) -> list[Run]:
    """The evaluated run of each job, trained where it is not there yet; a stop ends the command.

    Args:
        base, jobs, folder, with_ceiling: as for `trainings.work`.
    """
    from jaxcorr.cli import console
    from jaxcorr.studies import trainings

    requested, done = catch_interrupt(), []
    with refusing_divergence():
        for run in trainings.work(
            base, jobs, folder, follow, lambda: bool(requested), with_ceiling
        ):
            done.append(run)
            console.err.print(f"{len(done)} of {len(jobs)}: {run.id}", markup=False)
    if len(done) < len(jobs):
        stop()
    return done


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
            f"intact: start all of them again, with `{command('resume')}`.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)  # else jax waits for the one that is gone, and then aborts


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


def _show(begun: "Experiment", events: "Iterator[Event]") -> "Finished":
    from jaxcorr.cli import console
    from jaxcorr.data import batches

    spec, plan = begun.spec, batches.plan_for(begun.spec, begun.data.train)
    per_window = spec.data.window if spec.data.supervision == "all" else 1
    per_dispatch = plan.steps_per_dispatch * spec.data.batch_size * per_window
    with _alone(begun.run):
        console.err.print(f"run {begun.run.path}", markup=False)
        return _show_progress(events, spec.train.epochs, per_dispatch)


def _show_progress(events: "Iterator[Event]", epochs: int, samples_per_dispatch: int) -> "Finished":
    """Shows a bar, and a line for each epoch; the rate is in samples, which are targets."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from jaxcorr.cli import console
    from jaxcorr.training.loop import Begun, Dispatched, EpochDone, Finished

    is_narrow = console.err.width < 80  # what is left over should be the time that remains
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=8 if is_narrow else 24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[live]}"),
        TimeRemainingColumn(),
    )
    # On a terminal the bar is redrawn in place; in a file or a pipe only the epoch lines appear.
    is_hidden = not console.err.is_terminal
    with Progress(*columns, console=console.err, transient=True, disable=is_hidden) as progress:
        task = progress.add_task("training", total=None, live="compiling")
        plan = None
        for event in events:
            match event:
                case Begun():
                    plan = event.plan
                    done = event.epoch * plan.dispatches
                    progress.update(task, total=epochs * plan.dispatches, completed=done)
                    _say_begun(event)
                case Dispatched():
                    assert plan is not None
                    done = event.epoch * plan.dispatches + event.dispatch + 1
                    rate = samples_per_dispatch * (progress.tasks[task].speed or 0.0)
                    live = f"loss {event.loss:.4f}  MAE {1e3 * event.mae_mm:.1f} um"
                    live += "" if is_narrow else f"  {rate:,.0f}/s"
                    progress.update(task, completed=done, live=live)
                case EpochDone():
                    console.err.print(_epoch_line(event, epochs))
                case Finished():
                    return event
    raise AssertionError("a training ends with Finished")


def _say_begun(event: "Begun") -> None:
    from rich.markup import escape

    from jaxcorr.cli import console
    from jaxcorr.units import count

    for name in event.skipped:
        console.err.print(
            f"[yellow]checkpoint {escape(name)} is damaged; going on from the one before[/yellow]"
        )
    if event.note:
        console.err.print(event.note, style="yellow", markup=False)
    verb = f"resuming after epoch {event.epoch}" if event.epoch else "training"
    if event.epoch and event.is_over:
        verb = f"nothing left to train after epoch {event.epoch}"
    console.err.print(
        f"{verb}: {event.num_parameters:,} parameters, {event.plan.num_windows:,} windows, "
        f"{event.plan.steps_per_epoch} steps an epoch, {count(event.num_devices, 'device')}"
    )


def _epoch_line(event: "EpochDone", epochs: int) -> str:
    from jaxcorr.cli import console

    record = event.record
    text = (
        f"epoch {record['epoch']:>3}/{epochs}  train loss {record['train_loss']:.4f}  "
        f"MAE {1e3 * record['train_mae_mm']:6.2f} um"
    )
    if "val_mae_mm" in record:
        r2 = console.number(record["val_r2"], 4)
        text += f"  val MAE {1e3 * record['val_mae_mm']:6.2f} um  R2 {r2}"
    return f"{text}  {event.seconds:5.1f} s{'  best' if event.is_best else ''}"


def draw_curves(run: Run) -> None:
    """Draws a run's history, if it has one, into its folder."""
    from jaxcorr.cli import console
    from jaxcorr.training import history

    try:
        if rows := run.read_history():
            history.draw(rows, run.path / "curves.png", run.path / "curves.svg")
    except (OSError, InputError) as error:
        # The training is saved; a full disk should not turn it into a failure.
        reason = getattr(error, "strerror", None) or str(error)
        console.err.print(f"{run.path}: no curves drawn, {reason}", markup=False)
