"""Optimisers and learning-rate schedules by name. To add one, write a function and put its name in a registry.

Nothing here depends on the number of steps: a schedule is a function of progress, and the optimiser is told the
learning rate at each update. A compiled step so serves a run of any length.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from benchmarks.errors import ConfigError

# In parts of a run: more than float32 division is off by on any device, less than one step of a run of a million.
_ROUNDING = 5e-7


def warmup_cosine(progress: jax.Array, config: ConfigDict) -> jax.Array:
    """Half a cosine from 1 at the end of the warm-up to 0 at the end of the run (arXiv:1608.03983, equation 5)."""
    return 0.5 * (1 + jnp.cos(jnp.pi * _after_warmup(progress, config)))


def linear(progress: jax.Array, config: ConfigDict) -> jax.Array:
    """A straight line from 1 at the end of the warm-up to 0 at the end of the run."""
    return 1 - _after_warmup(progress, config)


def constant(progress: jax.Array, config: ConfigDict) -> jax.Array:
    """1 throughout."""
    del config
    return jnp.ones_like(progress)


def step(progress: jax.Array, config: ConfigDict) -> jax.Array:
    """1, multiplied by `step_factor` at each of `step_fractions` of the run."""
    reached = jnp.asarray(config.step_fractions, jnp.float32) <= progress + _ROUNDING
    return config.step_factor ** jnp.sum(reached).astype(jnp.float32)


def exponential(progress: jax.Array, config: ConfigDict) -> jax.Array:
    """1, multiplied by `exponential_rate` each time that another `exponential_every` of the run is over."""
    times = jnp.floor((progress + _ROUNDING) / config.exponential_every)
    return config.exponential_rate**times


def adamw(config: ConfigDict) -> optax.GradientTransformation:
    """AdamW (arXiv:1711.05101)."""
    return optax.chain(
        optax.scale_by_adam(config.beta1, config.beta2),
        _weight_decay(config),
        scale_by_given_learning_rate(),
    )


def sgd(config: ConfigDict) -> optax.GradientTransformation:
    """SGD with momentum and L2 weight decay, in PyTorch's order: decay, momentum, learning rate."""
    return optax.chain(_weight_decay(config), _momentum(config), scale_by_given_learning_rate())


def rmsprop(config: ConfigDict) -> optax.GradientTransformation:
    """RMSProp as the Inception and MobileNet papers mean it, which is TensorFlow's `RMSPropOptimizer`.

    Epsilon is under the square root, the mean square begins at 1, and the momentum gathers steps that were already
    multiplied by the learning rate; weight decay is part of the gradient.
    """
    return optax.chain(
        _weight_decay(config),
        optax.scale_by_rms(config.rmsprop_decay, config.rmsprop_epsilon, initial_scale=1.0),
        scale_by_given_learning_rate(),
        _momentum(config),
    )


def lamb(config: ConfigDict) -> optax.GradientTransformation:
    """LAMB (arXiv:1904.00962): Adam with weight decay, each tensor's step in proportion to the tensor's norm."""
    return optax.chain(
        optax.scale_by_adam(config.beta1, config.beta2, eps=1e-6),
        _weight_decay(config),
        optax.scale_by_trust_ratio(),
        scale_by_given_learning_rate(),
    )


# (progress through the run, a float32 scalar from 0 to 1; `config.optimizer`) to a factor of the peak learning rate.
Schedule = Callable[[jax.Array, ConfigDict], jax.Array]
SCHEDULES: dict[str, Schedule] = {
    "warmup_cosine": warmup_cosine,
    "linear": linear,
    "constant": constant,
    "step": step,
    "exponential": exponential,
}
OPTIMIZERS: dict[str, Callable[[ConfigDict], optax.GradientTransformation]] = {
    "adamw": adamw,
    "sgd": sgd,
    "rmsprop": rmsprop,
    "lamb": lamb,
}


def learning_rate_factor(config: ConfigDict, progress: jax.Array) -> jax.Array:
    """Returns what the peak learning rate is multiplied by, a float32 scalar: the schedule, behind a linear warm-up.

    Args:
      config: `config.optimizer`, whose values are static.
      progress: step / number of steps, a float32 scalar from 0 to 1; may be traced.
    """
    progress = jnp.asarray(progress, jnp.float32)
    factor = SCHEDULES[config.schedule](progress, config)
    if config.warmup_fraction:
        factor = factor * jnp.minimum(1.0, progress / config.warmup_fraction)
    return factor


def learning_rate(config: ConfigDict, progress: jax.Array, peak: float) -> jax.Array:
    """Returns the learning rate, a float32 scalar; the arguments are those of `learning_rate_factor`, and its peak."""
    return peak * learning_rate_factor(config, progress)


def create_optimizer(config: ConfigDict) -> optax.GradientTransformationExtraArgs:
    """Returns the optimiser of `config.optimizer`, behind clipping by global norm if asked for.

    Its `update(gradients, state, params, learning_rate=...)` takes the learning rate of the step as a keyword.
    """
    optimizer = OPTIMIZERS[config.name](config)
    if config.clip_norm:
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)
    return optimizer


def scale_by_given_learning_rate() -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by -`learning_rate`, a keyword argument of `update`."""

    def update(updates, state, params=None, *, learning_rate, **others):
        del params, others
        return jax.tree.map(lambda leaf: -learning_rate * leaf, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def decayed(params, *, everything: bool = False, depthwise: bool = True):
    """Returns the tree of which parameters weight decay applies to.

    Args:
      params: a tree of arrays or of their shapes.
      everything: biases and norms too, or kernels alone.
      depthwise: also the kernels [height, width, 1, channels] of depthwise convolutions.
    """

    def applies(leaf) -> bool:
        if leaf.ndim == 4 and leaf.shape[2] == 1 and not depthwise:
            return False
        return everything or leaf.ndim > 1

    return jax.tree.map(applies, params)


def validate(config: ConfigDict) -> None:
    """Raises one sentence on the first value of `config.optimizer` that cannot be run.

    Raises:
      ConfigError: its field and what would be right.
    """
    for field, choices in (("name", OPTIMIZERS), ("schedule", SCHEDULES)):
        if config[field] not in choices:
            raise ConfigError(
                f"config.optimizer.{field} is one of {', '.join(choices)}, not {config[field]!r}."
            )
    if not 0 <= config.warmup_fraction <= 1:
        raise ConfigError(
            f"config.optimizer.warmup_fraction is from 0 to 1, not {config.warmup_fraction}."
        )
    if not all(0 < fraction < 1 for fraction in config.step_fractions):
        raise ConfigError(
            f"config.optimizer.step_fractions are between 0 and 1, not {tuple(config.step_fractions)}."
        )
    for field in ("step_factor", "exponential_rate", "exponential_every", "rmsprop_epsilon"):
        if not (math.isfinite(config[field]) and config[field] > 0):
            raise ConfigError(f"config.optimizer.{field} is a number above 0, not {config[field]}.")
    for field in ("weight_decay", "clip_norm"):
        if not (math.isfinite(config[field]) and config[field] >= 0):
            raise ConfigError(f"config.optimizer.{field} is a number from 0, not {config[field]}.")
    for field in ("beta1", "beta2", "momentum", "rmsprop_decay"):
        if not 0 <= config[field] < 1:
            raise ConfigError(
                f"config.optimizer.{field} is from 0 to below 1, not {config[field]}."
            )


def _after_warmup(progress: jax.Array, config: ConfigDict) -> jax.Array:
    """Returns progress through what follows the warm-up, 0 before it ends."""
    length = max(1 - config.warmup_fraction, _ROUNDING)
    return jnp.clip((progress - config.warmup_fraction) / length, 0, 1)


def _weight_decay(config: ConfigDict) -> optax.GradientTransformation:
    def mask(params):
        return decayed(params, everything=config.decay_all, depthwise=config.decay_depthwise)

    return optax.add_decayed_weights(config.weight_decay, mask=mask)


def _momentum(config: ConfigDict) -> optax.GradientTransformation:
    return optax.trace(config.momentum, config.nesterov) if config.momentum else optax.identity()
