"""The model's step, compiled ahead of time for control code, polyphase and for several streams.

A phase is a sequence of samples at the model's rate. Where samples come at n times that rate, n
phases take turns, and several printers may stream side by side; then every phase holds one state
for each of them. A call passes one array, state and sample together, and gets one back, predictions
and state: half the latency of passing trees. Weights are constants of the compiled functions, and
nothing compiles after loading. `Streams` is what a predictor and a group share around it: options,
guard, counts and status.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Float32
from numpy import ndarray

from jaxcorr.deploy import guard
from jaxcorr.errors import InputError
from jaxcorr.models import network
from jaxcorr.models.network import Weights
from jaxcorr.spec import Spec
from jaxcorr.training.restore import Loaded

# Rows per call of `look_ahead`: every length is made of such blocks, so that no length compiles.
BLOCK = 32
WARM_UP = 3  # calls
# In hold mode a stream is carried over refused samples for so long; after more of them it begins
# anew with the next good one.
MOST_BRIDGED_S = 0.1

Compiled = Callable[..., Any]


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


class PolyphaseStep:
    """States of a model's streams, and the compiled functions that move them on.

    Attributes:
        num_phases: that take turns.
        phase: the one that gets the next sample.
    """

    def __init__(
        self, spec: Spec, weights: Weights, num_phases: int = 1, num_streams: int | None = None
    ):
        """Compiles and warms up.

        Args:
            num_phases: that take turns.
            num_streams: side by side; None for one without an axis of its own.
        Raises:
            InputError: the weights do not give finite predictions.
        """
        self.num_phases, self.phase = num_phases, 0
        self._side = () if num_streams is None else (num_streams,)
        self._num_targets = len(spec.data.targets)
        self._start = np.asarray(ravel_pytree(network.carry_for(spec, 1))[0])
        self._num_features = len(spec.data.features)
        shape = (*self._side, self._start.size + self._num_features)
        self._joined = [np.zeros(shape, np.float32) for _ in range(num_phases)]
        self._scratch = np.zeros(shape, np.float32)
        self._step_fn, self._block_fn = compile_functions(spec, weights, num_phases, num_streams)
        self.reset()
        self._check_warm_up()

    def _check_warm_up(self) -> None:
        errors = np.zeros(0)
        for _ in range(WARM_UP):
            errors = np.asarray(self._step_fn(self._scratch))[..., : self._num_targets]
            self.look_ahead(np.zeros((1, *self._side, self._num_features), np.float32))
        if not np.isfinite(errors).all():
            raise InputError(
                f"weights: expected finite predictions, got {errors.ravel().tolist()} for a sample "
                "of zeros. The weights are damaged; train the run again."
            )

    def advance(self, sample: Any) -> Float32[ndarray, "*n k"]:
        """Predicts on the next phase's next sample and carries its state on.

        Args:
            sample: the features, or a row of them for each stream.
        """
        joined, size = self._joined[self.phase], self._start.size
        joined[..., size:] = sample
        # Reading through numpy waits for the result without a copy on the CPU.
        result = np.asarray(self._step_fn(joined))
        joined[..., :size] = result[..., self._num_targets :]
        self.skip()
        return result[..., : self._num_targets]

    def skip(self) -> None:
        """Leaves a phase without its sample; its state stays as it is."""
        self.phase = (self.phase + 1) % self.num_phases

    def warm(self) -> None:
        """Runs the step once on a state that nobody reads: brings code and weights into cache."""
        np.asarray(self._step_fn(self._scratch)).tolist()

    def look_ahead(self, samples: Float[ndarray, "t *n f"]) -> Float32[ndarray, "t *n k"]:
        """Predictions for samples that follow; the states stay as they are."""
        per_block = BLOCK * self.num_phases
        num_blocks = -(-len(samples) // per_block)
        padded = np.zeros((num_blocks * per_block, *samples.shape[1:]), np.float32)
        padded[: len(samples)] = samples  # what follows changes nothing before it
        carry: Any = self.state.reshape(-1, self._start.size)
        errors = []
        for rows in padded.reshape(num_blocks, BLOCK, len(carry), self._num_features):
            carry, block_errors = self._block_fn(carry, rows)
            errors.append(np.asarray(block_errors))
        joined = np.concatenate(errors).reshape(len(padded), *self._side, self._num_targets)
        return joined[: len(samples)]

    def reset(self, streams: Any = ...) -> None:
        """Some or all streams back to before their first sample, in every phase."""
        for phase in range(self.num_phases):
            self.reset_phase(phase, streams)

    def reset_phase(self, phase: int, streams: Any = ...) -> None:
        """Some or all streams of one phase back to before their first sample."""
        self._joined[phase][..., : self._start.size][streams] = self._start

    @property
    def state(self) -> Float32[ndarray, "*phases_streams size"]:
        """A copy of all states, the next phase first; one phase has no axis."""
        order = [(self.phase + i) % self.num_phases for i in range(self.num_phases)]
        states = np.stack([self._joined[i][..., : self._start.size] for i in order])
        return states if self.num_phases > 1 else states[0]

    @state.setter
    def state(self, value: Any) -> None:
        shape = (*(self.num_phases,)[: self.num_phases > 1], *self._side, self._start.size)
        states = np.asarray(value)
        if states.shape != shape or states.dtype.kind not in "fiu" or not np.isfinite(states).all():
            raise InputError(
                f"carry: expected finite values of shape {shape}, got {states.dtype} of shape "
                f"{states.shape}. Assign a value read from this predictor's carry."
            )
        self.phase = 0
        for joined, state in zip(self._joined, states.reshape(self.num_phases, -1), strict=True):
            joined[..., : self._start.size] = state.reshape(*self._side, -1)


def count_phases(spec: Spec, rate_hz: float | None) -> int:
    """How many phases take turns so that samples at this rate suit a spec's model.

    Raises:
        InputError: the rate is no whole multiple of the model's.
    """
    own = spec.data.sample_rate_hz
    ratio = 1.0 if rate_hz is None else rate_hz / own
    count = round(ratio) if np.isfinite(ratio) else 0
    if count < 1 or abs(ratio - count) > 1e-6:
        raise InputError(
            f"rate_hz: expected a whole multiple of the model's {own:g} Hz, got {rate_hz:g}. "
            "Resample to such a rate, or train on traces at yours (data.sample_rate_hz)."
        )
    return count


def compile_functions(
    spec: Spec, weights: Weights, num_phases: int, num_streams: int | None
) -> tuple[Compiled, Compiled]:
    """A step of one phase, state and sample in one array, and a block of samples of all phases."""
    start, unravel = ravel_pytree(network.carry_for(spec, 1))
    # Numpy copies, so nothing of the caller's can change under the compiled functions.
    frozen = jax.tree.map(np.asarray, weights)

    def step(joined: Array) -> Array:
        carry, sample = joined[: start.size], joined[start.size :]
        after, errors = network.step(spec, frozen, unravel(carry), sample[None])
        return jnp.concatenate([errors[0], ravel_pytree(after)[0]])

    def block(carry: Array, samples: Array) -> tuple[Array, Array]:
        after, errors = network.unroll(spec, frozen, unravel(carry), samples[:, None])
        return ravel_pytree(after)[0], errors[:, 0]

    side, num_features = () if num_streams is None else (num_streams,), len(spec.data.features)
    many = num_phases * (num_streams or 1)
    return (
        compile_for_cpu(
            step if num_streams is None else jax.vmap(step), (*side, start.size + num_features)
        ),
        compile_for_cpu(
            jax.vmap(block, in_axes=(0, 1), out_axes=(0, 1)),
            (many, start.size),
            (BLOCK, many, num_features),
        ),
    )


def compile_for_cpu(function: Callable[..., Any], *shapes: tuple[int, ...]) -> Compiled:
    """Compiles for float32 arrays of these shapes: it can never compile again.

    For the CPU, since a sample costs less there than a launch on any other device.
    """
    arguments = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        return jax.jit(function).lower(*arguments).compile()


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
        self._most_bridged = max(1, round(MOST_BRIDGED_S * loaded.spec.data.sample_rate_hz))
        num_phases = count_phases(loaded.spec, rate_hz)
        self._compiled = PolyphaseStep(loaded.spec, loaded.weights, num_phases, num_streams)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a predictor holds compiled code, which cannot be pickled: load the run in the other "
            "process (start it with multiprocessing's spawn), and pass `carry` if its state counts"
        )

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
