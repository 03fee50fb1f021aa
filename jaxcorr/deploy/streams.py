"""What a predictor and a group share: options, compiled step, guard, counts and status."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from jaxtyping import Float32
from numpy import ndarray

from jaxcorr.deploy import guard
from jaxcorr.deploy.compiled_step import PolyphaseStep, count_phases
from jaxcorr.training.restore import Loaded

# In hold mode a stream is carried over so many refused samples in a row; after more of them it
# begins anew with the next good one.
MOST_BRIDGED = 10


class StreamOptions(TypedDict, total=False):
    """Options of every predictor, all of them optional.

    Attributes:
        rate_hz: of the samples that will come: the model's (the default), or a whole multiple.
        mode: on a bad sample, `strict` (the default) raises and `hold` returns the last good value.
        volume_mm: what the printer can reach in x, y, z, from 0, an Ender-3 V2's by default; the
            training range counts too.
    """

    rate_hz: float | None
    mode: Literal["strict", "hold"]
    volume_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Status:
    """What a predictor has met since it was loaded.

    Attributes:
        num_steps: samples that it predicted on; of all streams together.
        num_held: samples that it refused and answered with the last good value.
        num_flagged: samples on which it predicted though they were further out than in training.
        num_restarts: times that a stream began anew after too many refused samples.
        last_problem: why the newest refused sample was refused.
        outside: furthest outside the training ranges, by feature or `jump_x`, `accel_x`, in mm,
            mm/s, mm/s2.
    """

    num_steps: int = 0
    num_held: int = 0
    num_flagged: int = 0
    num_restarts: int = 0
    last_problem: str | None = None
    outside: Mapping[str, float] = field(default_factory=dict)


class Tally:
    """Counts for `Status`."""

    def __init__(self) -> None:
        self.num_steps = self.num_held = self.num_flagged = self.num_restarts = 0
        self.last_problem: str | None = None
        self._outside: dict[str, float] = {}

    def flag(self, outside: Mapping[str, float]) -> None:
        """Counts a sample that was further out than training, if it was."""
        self.num_flagged += bool(outside)
        for name, excess in outside.items():
            self._outside[name] = max(excess, self._outside.get(name, 0.0))

    def status(self) -> Status:
        """The counts as they are now."""
        return Status(
            self.num_steps,
            self.num_held,
            self.num_flagged,
            self.num_restarts,
            self.last_problem,
            dict(self._outside),
        )


class Streams:
    """A run's model with its guard, for samples of one printer or of several side by side.

    Attributes:
        spec: of the run.
    """

    def __init__(
        self,
        loaded: Loaded,
        num_streams: int | None,
        rate_hz: float | None = None,
        mode: str = "strict",
        volume_mm: tuple[float, float, float] = guard.ENDER3_V2_MM,
    ):
        self.spec = loaded.spec
        self._is_strict = mode == "strict"
        self._tally = Tally()
        self._guard = guard.guard_for(loaded.spec, loaded.ranges, mode, volume_mm)
        num_phases = count_phases(loaded.spec, rate_hz)
        self._compiled = PolyphaseStep(loaded.spec, loaded.weights, num_phases, num_streams)

    def _forget(self) -> None:
        """Forgets the last samples, so that the next ones are not compared with them."""
        raise NotImplementedError

    def warm(self) -> None:
        """Computes a step that changes nothing.

        Called shortly before a sample is due it brings code and weights back into the caches, which
        a processor that slept 10 ms has lost: the call that counts is then several times as fast.
        """
        self._compiled.warm()

    @property
    def carry(self) -> Float32[ndarray, "*phases_streams size"]:
        """A copy of all states, to go back to by assigning it.

        Axes: (size,); with the model's rate times n, (n, size); in a group, (streams, size) or (n,
        streams, size). After that the first samples are not compared with those before.
        """
        return self._compiled.state

    @carry.setter
    def carry(self, value: Any) -> None:
        self._compiled.state = value
        self._forget()

    @property
    def status(self) -> Status:
        """What was met since loading, of all streams together."""
        return self._tally.status()
