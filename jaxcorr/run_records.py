"""What a run's JSON files hold, by type; whatever else a file says is refused in one line.

A run folder may come from a stranger, so no key of it is taken on trust.
"""

import functools
import json
from pathlib import Path
from typing import (
    Annotated,
    Any,
    NamedTuple,
    NotRequired,  # pydantic takes no other before 3.12
    TypeVar,
)

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError
from pydantic import with_config as configure
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from jaxcorr import files, schema
from jaxcorr.errors import InputError
from jaxcorr.schema import STRICT, Count, NonNegative, Record

MOST_LINE_BYTES = 1 << 16  # a row of ours is a few hundred
MEND = "The file was altered: bring it back, or train the run again."
Whole = Annotated[int, Field(ge=0, lt=2**53)]

Row = TypeVar("Row")


class Machine(Record):
    """Where a training ran."""

    system: str
    processor: str
    cores: int | None


class Split(Record):
    """Names of the traces of each split."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of all of them."""
        return (*self.train, *self.val, *self.test)


class NumSamples(Record):
    """Rows of each split."""

    train: Whole
    val: Whole
    test: Whole


class Origin(Record):
    """With what, where and when something was made."""

    versions: dict[str, str]
    python: str
    git_commit: str | None
    machine: Machine
    created: Annotated[AwareDatetime, Field(strict=False)]


class Resolved(Origin):
    """resolved.json: how a run began.

    Attributes:
        spec: with every default filled in; checked apart, as any spec.
        num_inputs: of the network.
        num_devices: that each batch was dealt to.
        fingerprint: SHA-256 of each trace file, by trace name.
    """

    spec: dict[str, Any]
    num_inputs: Annotated[int, Field(ge=1, le=10_000)]
    num_devices: Count
    split: Split
    fingerprint: dict[str, str]
    num_samples: NumSamples


class PathAlone(Record):
    """path_alone.json: the validation of the path beside the network before the first epoch."""

    val_mae_mm: NonNegative
    val_rmse_mm: NonNegative
    val_r2: float | None


@configure(STRICT)
class EpochRow(TypedDict):
    """A line of history.jsonl: means over an epoch, and the validation after it, if there was."""

    epoch: Count
    step: Count
    train_loss: float
    train_mae_mm: NonNegative
    grad_norm: float
    weight_norm: float
    learning_rate: float
    val_mae_mm: NotRequired[NonNegative]
    val_rmse_mm: NotRequired[NonNegative]
    val_r2: NotRequired[float | None]


@configure(STRICT)
class TimingRow(TypedDict):
    """A line of timings.jsonl."""

    epoch: Count
    seconds: NonNegative
    step_ms: NonNegative
    samples_per_s: NonNegative


class Progress(NamedTuple):
    """Where training stands between two dispatches."""

    epoch: Whole = 0  # completed epochs, which is also the number of history rows
    dispatch: Whole = 0  # completed dispatches of the running epoch
    best_epoch: Whole = 0
    best_mae_mm: NonNegative | None = None


@configure(STRICT)
class Place(TypedDict):
    """Where the stream of batches stands."""

    next_index: Whole


@configure(STRICT)
class Kept(TypedDict):
    """The JSON of a checkpoint."""

    progress: Progress
    iterator: Place


def read_resolved(path: Path) -> Resolved:
    """How a run began.

    Raises:
        InputError: the file is missing, damaged or altered.
    """
    return schema.read_record(Resolved, path, "The run is incomplete; train it again.", MEND)


def read_path_alone(path: Path) -> PathAlone | None:
    """What the path alone reached; None where there is no file, since there is no path.

    Raises:
        InputError: the file is damaged or altered.
    """
    return schema.read_record(PathAlone, path, MEND, MEND) if path.exists() else None


def read_history(path: Path) -> list[EpochRow]:
    """The completed epochs; none where there is no file.

    Raises:
        InputError: a line that is not the last one, cut short by a crash, is no such row.
    """
    return _read_lines(EpochRow, path)


def read_timings(path: Path) -> list[TimingRow]:
    """Seconds of the completed epochs, as `read_history`."""
    return _read_lines(TimingRow, path)


def check_kept(content: Any) -> Kept:
    """The JSON of a checkpoint by its type.

    Raises:
        ValueError: it is none; the text says why.
    """
    try:
        return _adapter(Kept).validate_json(json.dumps(content))
    except ValidationError as error:
        rule, value = schema.first_problem(error)
        raise ValueError(f"progress: expected {rule}, got {value}") from None


def _read_lines(kind: type[Row], path: Path) -> list[Row]:
    if not path.exists():
        return []
    lines = files.read_bytes(path, "the run's records", MEND).split(b"\n")
    adapter, rows = _adapter(kind), []
    for number, line in enumerate(lines, 1):
        if len(line) > MOST_LINE_BYTES:
            got = f"{len(line) >> 10:,} KiB"
            raise InputError(
                f"{path}:{number}: expected at most {MOST_LINE_BYTES >> 10} KiB, got {got}. {MEND}"
            )
        try:
            rows += [adapter.validate_json(line)] if line else []
        except ValidationError as error:
            if number == len(lines):  # a whole line ends; this one a crash has cut short
                break
            rule, value = schema.first_problem(error)
            raise InputError(f"{path}:{number}: expected {rule}, got {value}. {MEND}") from None
    return rows


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
