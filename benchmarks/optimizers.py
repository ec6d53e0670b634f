"""Optimisers and learning-rate schedules by name. To add one, write a function and put its name in a registry."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict


def warmup_cosine(peak: float, steps: int, warmup_steps: int) -> optax.Schedule:
    """Linear from 0 to `peak` over `warmup_steps`, then half a cosine to 0 at `steps` (arXiv:1608.03983, eq. 5)."""
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup_steps else peak,
        peak_value=peak,
        warmup_steps=warmup_steps,
        decay_steps=max(steps, warmup_steps + 1),
    )


def constant(peak: float, steps: int, warmup_steps: int) -> optax.Schedule:
    """Linear from 0 to `peak` over `warmup_steps`, then `peak`."""
    del steps
    return optax.linear_schedule(peak if warmup_steps == 0 else 0.0, peak, max(warmup_steps, 1))


def step(peak: float, steps: int, warmup_steps: int) -> optax.Schedule:
    """Linear from 0 to `peak` over `warmup_steps`, then a tenth from a third of the steps on, a hundredth from two."""
    drops = {round(steps / 3): 0.1, round(2 * steps / 3): 0.1}
    steady = optax.piecewise_constant_schedule(peak, drops)
    if not warmup_steps:
        return steady
    rising = optax.linear_schedule(0.0, peak, warmup_steps)
    return lambda count: jnp.minimum(rising(count), steady(count))


def adamw(config: ConfigDict, learning_rate: optax.Schedule) -> optax.GradientTransformation:
    """AdamW (arXiv:1711.05101)."""
    return optax.adamw(
        learning_rate,
        b1=config.beta1,
        b2=config.beta2,
        weight_decay=config.weight_decay,
        mask=_decayed(config),
    )


def sgd(config: ConfigDict, learning_rate: optax.Schedule) -> optax.GradientTransformation:
    """SGD with momentum and L2 weight decay, in PyTorch's order: decay, momentum, learning rate."""
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay, mask=_decayed(config)),
        optax.sgd(learning_rate, momentum=config.momentum or None, nesterov=config.nesterov),
    )


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {"adamw": adamw, "sgd": sgd}
SCHEDULES: dict[str, Callable[..., optax.Schedule]] = {
    "warmup_cosine": warmup_cosine,
    "constant": constant,
    "step": step,
}


def create_schedule(config: ConfigDict, peak: float, steps: int) -> optax.Schedule:
    """Returns the learning rate as a function of the step, shaped to end at `steps`.

    Args:
      config: `config.optimizer`: schedule and warmup_fraction (of the steps).
      peak: the highest learning rate.
      steps: the length of the run.
    """
    return SCHEDULES[config.schedule](peak, steps, round(config.warmup_fraction * steps))


def create_optimizer(config: ConfigDict, peak: float, steps: int) -> optax.GradientTransformation:
    """Returns the optimiser of `config.optimizer` for a run of `steps`, behind clipping by global norm if asked for."""
    optimizer = OPTIMIZERS[config.name](config, create_schedule(config, peak, steps))
    if config.clip_norm:
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)
    return optimizer


def decayed(params) -> dict:
    """Returns the tree of which parameters are kernels, and neither biases nor norm scales."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _decayed(config: ConfigDict) -> Callable | None:
    """Returns which parameters weight decay applies to; None for all of them."""
    return None if config.decay_all else decayed
