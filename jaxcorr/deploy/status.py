"""What a predictor has met so far: counts of good, flagged and refused samples."""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
        has_ranges: False for runs of before training ranges were kept: nothing is flagged then,
            and only type and magnitude are judged.
    """

    num_steps: int = 0
    num_held: int = 0
    num_flagged: int = 0
    num_restarts: int = 0
    last_problem: str | None = None
    outside: Mapping[str, float] = field(default_factory=dict)
    has_ranges: bool = True


class Tally:
    """Counts for `Status`."""

    def __init__(self, has_ranges: bool):
        self.num_steps = self.num_held = self.num_flagged = self.num_restarts = 0
        self.last_problem: str | None = None
        self._outside: dict[str, float] = {}
        self._has_ranges = has_ranges

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
            self._has_ranges,
        )
