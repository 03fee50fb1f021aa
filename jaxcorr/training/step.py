"""The training step: loss, augmentation, gradient and update, jitted with the state donated.

A step is a pure function of state, batch and keys. Each window of a batch has a key of its own,
whichever device it is on, so the number of devices changes no more than the rounding.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key

from jaxcorr.models import network as model
from jaxcorr.models import normalize
from jaxcorr.models.network import Variables
from jaxcorr.models.normalize import Scales
from jaxcorr.spec import Loss, Spec
from jaxcorr.training import devices
from jaxcorr.training.optimizer import make_optimizer

LossFn = Callable[[Variables, tuple[Array, Array], Array], tuple[Array, Array]]


class Totals(NamedTuple):
    """Sums over the steps of the running epoch, kept on the device and in checkpoints."""

    loss: Float[Array, ""]
    mae_mm: Float[Array, ""]
    grad_norm: Float[Array, ""]
    weight_norm: Float[Array, ""]


class Programs(NamedTuple):
    """What a training runs, jitted, and the mesh of devices that it is for."""

    mesh: Mesh | None
    dispatch_fn: Any  # see make_dispatch
    gradient_fn: Any  # see make_gradient_fn


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
    total = max(1, steps_per_epoch * spec.train.epochs)
    return -(-total // every), max(1, steps_per_epoch // every)


def make_programs(spec: Spec, scales: Scales, steps_per_epoch: int) -> Programs:
    """The jitted functions of a training, on the devices that the spec asks for."""
    optimizer = make_optimizer(spec.optimizer, *count_updates(spec, steps_per_epoch))
    loss_fn, mesh = make_loss_fn(spec, scales), devices.make_mesh(spec)
    step_fn = make_train_step(loss_fn, optimizer, mesh)
    return Programs(
        mesh,
        make_dispatch(step_fn, spec.train.seed, mesh),
        make_gradient_fn(loss_fn, spec.train.seed),
    )


def make_loss_fn(spec: Spec, scales: Scales) -> LossFn:
    """The pure `loss_fn(network, batch, keys) -> (loss, mae_mm)` on raw windows, time-major.

    Augments, derives and normalises, runs the network from a zero carry and compares on every step
    or on the last, as data.supervision says.
    """
    network_model = model.from_spec(spec)
    augment = spec.data.augment

    def loss_fn(
        network: Variables, batch: tuple[Array, Array], keys: Key[Array, " b"]
    ) -> tuple[Array, Array]:
        noise_keys, scale_keys, dropout_keys = jax.vmap(lambda key: jax.random.split(key, 3))(
            keys
        ).T
        carry = model.carry_for(spec, batch[0].shape[1])
        # A scan's carry must be known to differ from device to device if its inputs do.
        blank = jnp.zeros_like(batch[0][0, :, :1])
        layers = jax.tree.map(lambda leaf: leaf + blank, carry.layers)
        raw = model.derive_inputs(spec.model, batch[0], carry.previous, carry.is_started)
        inputs = add_noise(normalize.apply(scales.inputs, raw), augment.input_noise, noise_keys)
        targets = scale_targets(batch[1], augment.target_scale, scale_keys)
        targets = normalize.apply(scales.targets, targets)
        _, outputs = model.run_network(network_model, network, layers, inputs, dropout_keys)
        if spec.data.supervision == "last":
            outputs, targets = outputs[-1:], targets[-1:]
        mae_mm = jnp.mean(jnp.abs(outputs - targets) * scales.targets.std)
        return loss_of(spec.loss, outputs, targets), mae_mm

    return loss_fn


def add_noise(
    inputs: Float[Array, "t b d"], deviation: float, keys: Key[Array, " b"]
) -> Float[Array, "t b d"]:
    """Adds Gaussian noise of this deviation to normalised inputs."""
    if not deviation:
        return inputs
    shape = (inputs.shape[0], inputs.shape[2])
    noise = jax.vmap(lambda key: jax.random.normal(key, shape), out_axes=1)(keys)
    return inputs + deviation * noise


def scale_targets(
    targets: Float[Array, "t b k"], most: float, keys: Key[Array, " b"]
) -> Float[Array, "t b k"]:
    """Scales each window's targets by its own factor, uniform within 1 +- most."""
    if not most:
        return targets
    draw = jax.vmap(lambda key: jax.random.uniform(key, (1,), minval=-most, maxval=most))
    return targets * (1 + draw(keys))


def loss_of(
    loss: Loss, predicted: Float[Array, "*n k"], true: Float[Array, "*n k"]
) -> Float[Array, ""]:
    """The loss over all entries: mae, mse, or mae_ratio * MAE + (1 - mae_ratio) * MSE.

    The two parts are of one size only where the targets are normalised.
    """
    residual = predicted - true
    ratio = {"mae": 1.0, "mse": 0.0, "hybrid": loss.mae_ratio}[loss.name]
    return ratio * jnp.mean(jnp.abs(residual)) + (1.0 - ratio) * jnp.mean(residual**2)


def make_train_step(
    loss_fn: LossFn, optimizer: optax.GradientTransformation, mesh: Mesh | None = None
) -> Any:
    """The pure update `train_step(state, batch, keys) -> (state, metrics)`, not yet jitted.

    A batch is (features, targets): t raw samples of b windows each, time-major; b keys. On a
    mesh each device has its share of the windows, and gradient and metrics are means over them all.
    """
    mean_fn = jax.value_and_grad(loss_fn, has_aux=True)
    gradient_fn = _by_portions(mean_fn, devices.most_at_once(mesh))

    def train_step(
        state: TrainState, batch: tuple[Array, Array], keys: Key[Array, " b"]
    ) -> tuple[TrainState, Totals]:
        network = state.network if mesh is None else devices.vary(state.network)
        found = gradient_fn(network, batch, keys)
        (loss, mae_mm), gradient = found if mesh is None else devices.mean(found)
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


def _by_portions(mean_fn: Any, most: int | None) -> Any:
    """A mean over windows, as that over equal portions of at most so many, one after the other."""

    def portions_fn(network: Variables, batch: tuple[Array, Array], keys: Array) -> Any:
        count = devices.count_portions(len(keys), most)
        if count == 1:
            return mean_fn(network, batch, keys)
        features, targets = (
            jnp.moveaxis(part.reshape(len(part), count, -1, part.shape[-1]), 1, 0) for part in batch
        )
        # A scan's carry must be known to differ from device to device if what it adds does.
        blank = jnp.zeros_like(features[0, 0, 0, 0])
        zero = ((blank, blank), jax.tree.map(jnp.zeros_like, network))

        def body(total: Any, portion: tuple[Array, Array, Array]) -> tuple[Any, None]:
            found = mean_fn(network, portion[:2], portion[2])
            return jax.tree.map(jnp.add, total, found), None

        total, _ = jax.lax.scan(body, zero, (features, targets, keys.reshape(count, -1)))
        return jax.tree.map(lambda leaf: leaf / count, total)

    return portions_fn


def make_gradient_fn(loss_fn: LossFn, seed: int) -> Any:
    """Jits the gradient of the first batch of a dispatch, for the records."""

    def gradient(state: TrainState, features: Array, targets: Array) -> Variables:
        keys = window_keys(seed, state.step, jnp.arange(features.shape[2]))
        return jax.grad(loss_fn, has_aux=True)(state.network, (features[0], targets[0]), keys)[0]

    return jax.jit(gradient)


def make_dispatch(train_step: Any, seed: int, mesh: Mesh | None = None) -> Any:
    """Jits a scan of `train_step` over the leading axis of (features, targets); donates the state.

    Args:
        mesh: the devices to which `devices.deal` has dealt the windows; None for one device.
    """

    def dispatch(state: TrainState, features: Array, targets: Array) -> tuple[TrainState, Totals]:
        share = features.shape[2]
        first = 0 if mesh is None else share * jax.lax.axis_index(devices.AXIS)
        places = first + jnp.arange(share)

        def body(state: TrainState, batch: tuple[Array, Array]) -> tuple[TrainState, Totals]:
            return train_step(state, batch, window_keys(seed, state.step, places))

        return jax.lax.scan(body, state, (features, targets))

    if mesh is not None:
        whole, dealt = devices.WHOLE, devices.DEALT
        dispatch = jax.shard_map(
            dispatch, mesh=mesh, in_specs=(whole, dealt, dealt), out_specs=whole
        )
    options = devices.compiler_options(mesh)
    return jax.jit(dispatch, donate_argnums=0, compiler_options=options)


def window_keys(seed: int, step: Int[Array, ""], places: Int[Array, " b"]) -> Key[Array, " b"]:
    """A key for each window, from the seed, the step and the window's place in the whole batch."""
    key = jax.random.fold_in(jax.random.key(seed), step)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, places)
