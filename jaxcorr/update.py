"""One training update: a pure function of state, batch and key, jitted with the state donated.

It knows the network, the loss and the optimizer; where batches come from, when to stop and what to
keep is `train.py`'s business.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from jaxcorr import losses, model, normalize
from jaxcorr.model import Variables
from jaxcorr.normalize import Scale
from jaxcorr.optimizer import make_optimizer
from jaxcorr.spec import Spec

LossFn = Callable[[Variables, tuple[Array, Array], PRNGKeyArray], tuple[Array, Array]]


class Scales(NamedTuple):
    """Normalisation of the encoder's inputs and of the targets, from the training split only."""

    inputs: Scale
    targets: Scale


class Totals(NamedTuple):
    """Sums over the steps of the running epoch, kept on the device and in checkpoints."""

    loss: Float[Array, ""]
    mae_mm: Float[Array, ""]
    grad_norm: Float[Array, ""]
    weight_norm: Float[Array, ""]


class TrainState(NamedTuple):
    """Everything that a step changes; with the data iterator's state, all that a resume needs."""

    network: Variables
    optimizer: Any
    step: Array
    totals: Totals


def initialize(spec: Spec, num_inputs: int) -> TrainState:
    """Fresh parameters and optimizer state, from the spec's seed."""
    network = model.initialize(spec, num_inputs, jax.random.key(spec.train.seed))
    optimizer = make_optimizer(spec.optimizer, total_updates=1, updates_per_epoch=1)
    return TrainState(network, optimizer.init(network), jnp.int32(0), zero_totals())


def zero_totals() -> Totals:
    """Sums of an epoch that has not begun."""
    return Totals(*(jnp.zeros(()) for _ in Totals._fields))


def count_updates(spec: Spec, steps_per_epoch: int) -> tuple[int, int]:
    """Optimizer updates in the whole training and in one epoch, after accumulation."""
    every = spec.optimizer.accumulation_steps
    total = steps_per_epoch * spec.train.epochs
    return -(-total // every), max(1, steps_per_epoch // every)


def make_loss_fn(spec: Spec, scales: Scales) -> LossFn:
    """The pure `loss_fn(network, batch, key) -> (loss, mae_mm)` on raw windows, time-major.

    Augments, derives and normalises, runs the network from a zero carry and compares on every step
    or on the last, as data.supervision says.
    """
    network_model = model.from_spec(spec)
    augment = spec.data.augment

    def loss_fn(
        network: Variables, batch: tuple[Array, Array], key: PRNGKeyArray
    ) -> tuple[Array, Array]:
        noise_key, scale_key, dropout_key = jax.random.split(key, 3)
        carry = model.carry_for(spec, batch[0].shape[1])
        raw = model.derive_inputs(spec.model, batch[0], carry.previous, carry.is_started)
        inputs = add_noise(normalize.apply(scales.inputs, raw), augment.input_noise, noise_key)
        targets = scale_targets(batch[1], augment.target_scale, scale_key)
        targets = normalize.apply(scales.targets, targets)
        _, outputs = model.run_network(network_model, network, carry.layers, inputs, dropout_key)
        if spec.data.supervision == "last":
            outputs, targets = outputs[-1:], targets[-1:]
        mae_mm = jnp.mean(jnp.abs(outputs - targets) * scales.targets.std)
        return losses.compute(spec.loss, outputs, targets), mae_mm

    return loss_fn


def make_train_step(loss_fn: LossFn, optimizer: optax.GradientTransformation) -> Any:
    """The pure update `train_step(state, batch, key) -> (state, metrics)`, not yet jitted.

    A batch is (features, targets): t raw samples of b windows each, time-major.
    """

    def train_step(
        state: TrainState, batch: tuple[Array, Array], key: PRNGKeyArray
    ) -> tuple[TrainState, Totals]:
        (loss, mae_mm), gradient = jax.value_and_grad(loss_fn, has_aux=True)(
            state.network, batch, key
        )
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.network)
        network: Any = optax.apply_updates(state.network, updates)
        metrics = Totals(loss, mae_mm, optax.tree.norm(gradient), optax.tree.norm(network))
        return TrainState(
            network=network,
            optimizer=optimizer_state,
            step=state.step + 1,
            totals=jax.tree.map(jnp.add, state.totals, metrics),
        ), metrics

    return train_step


def make_gradient_fn(loss_fn: LossFn, seed: int) -> Any:
    """Jits the gradient of the first batch of a dispatch, for the records."""

    def gradient(state: TrainState, features: Array, targets: Array) -> Variables:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        return jax.grad(loss_fn, has_aux=True)(state.network, (features[0], targets[0]), key)[0]

    return jax.jit(gradient)


def make_dispatch(train_step: Any, seed: int) -> Any:
    """Jits a scan of `train_step` over the leading axis of (features, targets); donates the state.

    The key of a step depends on the seed and the step's number alone.
    """

    def body(state: TrainState, batch: tuple[Array, Array]) -> tuple[TrainState, Totals]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        return train_step(state, batch, key)

    def dispatch(state: TrainState, features: Array, targets: Array) -> tuple[TrainState, Totals]:
        return jax.lax.scan(body, state, (features, targets))

    return jax.jit(dispatch, donate_argnums=0)


def add_noise(inputs: Float[Array, "t b d"], deviation: float, key: Array) -> Array:
    """Adds Gaussian noise of this deviation to normalised inputs."""
    if not deviation:
        return inputs
    return inputs + deviation * jax.random.normal(key, inputs.shape)


def scale_targets(targets: Float[Array, "t b k"], most: float, key: Array) -> Array:
    """Scales each window's targets by its own factor, uniform within 1 +- most."""
    if not most:
        return targets
    return targets * (
        1 + jax.random.uniform(key, (1, targets.shape[1], 1), minval=-most, maxval=most)
    )
