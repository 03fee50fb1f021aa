"""AdamW with clipping, accumulation and a learning-rate schedule, all from optax."""

import jax
import optax

from jaxcorr.errors import InputError
from jaxcorr.spec import Optimizer


def learning_rate_fn(spec: Optimizer, total_updates: int, updates_per_epoch: int) -> optax.Schedule:
    """Learning rate against update number.

    `warmup_cosine` rises from zero over warmup_fraction of all steps, then falls along a cosine to
    final_fraction of the peak. `cosine_restarts` repeats a falling cosine, each cycle
    restart_factor times as long as the one before (Loshchilov and Hutter, SGDR, 2017).

    Args:
        total_updates, updates_per_epoch: optimizer updates, after accumulation.
    """
    peak, final = spec.learning_rate, spec.learning_rate * spec.final_fraction
    if spec.schedule == "constant":
        return optax.constant_schedule(peak)
    if spec.schedule == "warmup_cosine":
        warmup = round(spec.warmup_fraction * total_updates)
        return optax.warmup_cosine_decay_schedule(
            init_value=0.0 if warmup else peak,
            peak_value=peak,
            warmup_steps=warmup,
            decay_steps=max(total_updates, warmup + 1),
            end_value=final,
        )
    cycles, begun, length = [], 0, float(spec.restart_epochs * updates_per_epoch)
    while begun < total_updates or not cycles:
        cycles.append(
            {
                "init_value": peak,
                "peak_value": peak,
                "warmup_steps": 0,
                "decay_steps": max(1, round(length)),
                "end_value": final,
            }
        )
        begun += max(1, round(length))
        length *= spec.restart_factor
    return optax.sgdr_schedule(cycles)


def make_optimizer(
    spec: Optimizer, total_updates: int, updates_per_epoch: int
) -> optax.GradientTransformation:
    """Clip, AdamW with decay on matrices only, and accumulation around both.

    Args:
        total_updates, updates_per_epoch: optimizer updates, after accumulation.
    """
    every = spec.accumulation_steps
    schedule = learning_rate_fn(spec, total_updates, updates_per_epoch)
    adamw = optax.adamw(schedule, weight_decay=spec.weight_decay, mask=_is_matrix)
    clip = optax.clip_by_global_norm(spec.clip_norm) if spec.clip_norm else optax.identity()
    optimizer = optax.chain(clip, adamw)
    if every == 1:
        return optimizer
    return optax.MultiSteps(optimizer, every).gradient_transformation()


def check_memory_error(error: Exception, batch_size: int) -> InputError | None:
    """The one line for a device that ran out of memory; None for any other error."""
    if "RESOURCE_EXHAUSTED" not in str(error):
        return None
    return InputError(
        f"data.batch_size: expected a batch that fits the device, got {batch_size} windows and no "
        "memory left. Halve data.batch_size and double optimizer.accumulation_steps."
    )


def _is_matrix(params: optax.Params) -> optax.Params:
    return jax.tree.map(lambda leaf: leaf.ndim >= 2, params)
