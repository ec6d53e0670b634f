"""Optimizers and learning-rate schedules by name; `register_optimizer` and `register_schedule` add your own.

Nothing here depends on the number of steps: a schedule is a function of progress, and the optimizer is told the
learning rate at each update. So a compiled step serves a run of any length.
"""

import functools
import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from benchmarks.errors import ConfigError
from benchmarks.registry import OPTIMIZERS, SCHEDULES, Registry, options
from isobudget.wording import quoted, shown

# A fraction of a run: more than the error of a float32 division on any device, less than one step in a million.
_ROUNDING = 5e-7


_Function = TypeVar("_Function", bound=Callable)


def register_schedule(name: str) -> Callable[[_Function], _Function]:
    """Returns a decorator that registers a schedule, a function of (progress, config), under `name`.

    It returns what the peak learning rate is multiplied by, a float32 scalar, for `progress`, a traced float32 scalar
    from 0 to 1; the linear warm-up is applied on top. `config` is `config.optimizer`. Keyword-only parameters are the
    schedule's options, which a configuration sets as `config.optimizer.NAME.OPTION`.

    Raises:
      ConfigError: the name is taken or unfit, or an option has no default that a configuration can hold.
    """
    return _registered(SCHEDULES, name)


def register_optimizer(name: str) -> Callable[[_Function], _Function]:
    """Returns a decorator that registers an optimizer, a function of `config.optimizer`, under `name`.

    It returns an optax transformation that ends with `scale_by_given_learning_rate()`, and includes weight decay if it
    has any (`weight_decay(config)`). Options are as for `register_schedule`.

    Raises:
      ConfigError: as `register_schedule`.
    """
    return _registered(OPTIMIZERS, name)


def _registered(registry: Registry, name: str) -> Callable[[_Function], _Function]:
    def decorate(function: _Function) -> _Function:
        if options(function) and (name in SCHEDULES or name in OPTIMIZERS):
            raise ConfigError(
                f"config.optimizer.{name} would hold the options of two: choose another name."
            )
        registry.register(name, function, function.__module__)
        return function

    return decorate


def _with_options(function: Callable, name: str, config: ConfigDict) -> Callable:
    return functools.partial(function, **dict(config[name])) if options(function) else function


@register_schedule("warmup_cosine")
def warmup_cosine(progress: jax.Array, config: ConfigDict) -> jax.Array:
    """Half a cosine from 1 at the end of the warm-up to 0 at the end of the run (arXiv:1608.03983, equation 5)."""
    return 0.5 * (1 + jnp.cos(jnp.pi * _after_warmup(progress, config)))


@register_schedule("linear")
def linear(progress: jax.Array, config: ConfigDict) -> jax.Array:
    """A straight line from 1 at the end of the warm-up to 0 at the end of the run."""
    return 1 - _after_warmup(progress, config)


@register_schedule("constant")
def constant(progress: jax.Array, config: ConfigDict) -> jax.Array:
    """1 throughout."""
    del config
    return jnp.ones_like(progress)


@register_schedule("step")
def step(progress: jax.Array, config: ConfigDict) -> jax.Array:
    """1, multiplied by `step_factor` at each of `step_fractions` of the run."""
    reached = jnp.asarray(config.step_fractions, jnp.float32) <= progress + _ROUNDING
    return config.step_factor ** jnp.sum(reached).astype(jnp.float32)


@register_schedule("exponential")
def exponential(progress: jax.Array, config: ConfigDict) -> jax.Array:
    """1, multiplied by `exponential_rate` each time that another `exponential_every` of the run is over."""
    times = jnp.floor((progress + _ROUNDING) / config.exponential_every)
    return config.exponential_rate**times


@register_optimizer("adamw")
def adamw(config: ConfigDict) -> optax.GradientTransformation:
    """AdamW (arXiv:1711.05101)."""
    return optax.chain(
        optax.scale_by_adam(config.beta1, config.beta2),
        weight_decay(config),
        scale_by_given_learning_rate(),
    )


@register_optimizer("sgd")
def sgd(config: ConfigDict) -> optax.GradientTransformation:
    """SGD with momentum and L2 weight decay, in PyTorch's order: decay, momentum, learning rate."""
    return optax.chain(weight_decay(config), _momentum(config), scale_by_given_learning_rate())


@register_optimizer("rmsprop")
def rmsprop(config: ConfigDict) -> optax.GradientTransformation:
    """RMSProp as the Inception and MobileNet papers mean it, which is TensorFlow's `RMSPropOptimizer`.

    Epsilon is under the square root, the mean square begins at 1, and the momentum gathers steps that were already
    multiplied by the learning rate; weight decay is part of the gradient.
    """
    return optax.chain(
        weight_decay(config),
        optax.scale_by_rms(config.rmsprop_decay, config.rmsprop_epsilon, initial_scale=1.0),
        scale_by_given_learning_rate(),
        _momentum(config),
    )


@register_optimizer("lamb")
def lamb(config: ConfigDict) -> optax.GradientTransformation:
    """LAMB (arXiv:1904.00962): Adam with weight decay, each tensor's step in proportion to the tensor's norm."""
    return optax.chain(
        optax.scale_by_adam(config.beta1, config.beta2, eps=1e-6),
        weight_decay(config),
        optax.scale_by_trust_ratio(),
        scale_by_given_learning_rate(),
    )


def learning_rate_factor(config: ConfigDict, progress: jax.Array) -> jax.Array:
    """Returns what the peak learning rate is multiplied by, a float32 scalar: the schedule with its linear warm-up.

    Args:
      config: `config.optimizer`, whose values are static.
      progress: step / number of steps, a float32 scalar from 0 to 1; may be traced.
    """
    progress = jnp.asarray(progress, jnp.float32)
    schedule = _with_options(SCHEDULES[config.schedule], config.schedule, config)
    factor = schedule(progress, config)
    if config.warmup_fraction:
        factor = factor * jnp.minimum(1.0, progress / config.warmup_fraction)
    return factor


def learning_rate(config: ConfigDict, progress: jax.Array, peak: float) -> jax.Array:
    """Returns the learning rate, a float32 scalar; the arguments are those of `learning_rate_factor` and the peak."""
    return peak * learning_rate_factor(config, progress)


def create_optimizer(config: ConfigDict) -> optax.GradientTransformationExtraArgs:
    """Returns the optimizer of `config.optimizer`, after clipping by global norm if that is asked for.

    Its `update(gradients, state, params, learning_rate=...)` takes the learning rate of the step as a keyword.
    """
    optimizer = _with_options(OPTIMIZERS[config.name], config.name, config)(config)
    if config.clip_norm:
        return optax.chain(clip_by_global_norm(config.clip_norm), optimizer)
    return optimizer


def clip_by_global_norm(max_norm: float) -> optax.GradientTransformation:
    """Returns what scales updates down to a global norm of `max_norm` if theirs is larger.

    `optax.clip_by_global_norm` divides every value by the norm, which XLA does once and writes down for all that read
    it. A multiplication it makes part of what reads it: two passes less over the gradient on a CPU.
    """

    def update(updates, state, params=None):
        del params
        factor = jnp.minimum(1.0, max_norm / optax.tree.norm(updates))
        return jax.tree.map(lambda leaf: leaf * factor.astype(leaf.dtype), updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def scale_by_given_learning_rate() -> optax.GradientTransformationExtraArgs:
    """Returns what multiplies updates by -`learning_rate`, a keyword argument of its `update`."""

    def update(updates, state, params=None, *, learning_rate, **others):
        del params, others
        return jax.tree.map(lambda leaf: -learning_rate * leaf, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def decayed(params, *, everything: bool = False, depthwise: bool = True):
    """Returns a tree that says of each parameter whether weight decay applies to it.

    Args:
      params: a tree of arrays or of their shapes.
      everything: whether biases and norms decay too, and not kernels alone.
      depthwise: whether the kernels [height, width, 1, channels] of depthwise convolutions decay.
    """

    def applies(leaf) -> bool:
        if leaf.ndim == 4 and leaf.shape[2] == 1 and not depthwise:
            return False
        return everything or leaf.ndim > 1

    return jax.tree.map(applies, params)


def validate(config: ConfigDict) -> None:
    """Checks that `config.optimizer` can be run.

    Raises:
      ConfigError: a field has an impossible value; the message says what is possible.
    """
    registries: tuple[tuple[str, Registry], ...] = (("name", OPTIMIZERS), ("schedule", SCHEDULES))
    for field, choices in registries:
        if config[field] not in choices:
            raise ConfigError(
                f"config.optimizer.{field} is one of {', '.join(choices)}, not {shown(config[field])}."
            )
        known = options(choices[config[field]])
        for option in config.get(config[field], {}) if known else ():
            if option not in known:
                raise ConfigError(
                    f"config.optimizer.{config[field]} has no option {quoted(option)}, but {', '.join(known)}."
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
    """Returns the progress through the part after the warm-up, 0 before that."""
    length = max(1 - config.warmup_fraction, _ROUNDING)
    return jnp.clip((progress - config.warmup_fraction) / length, 0, 1)


def weight_decay(config: ConfigDict) -> optax.GradientTransformation:
    """Returns what adds `config.weight_decay` times each parameter that decays, which `config` decides."""

    def mask(params):
        return decayed(params, everything=config.decay_all, depthwise=config.decay_depthwise)

    return optax.add_decayed_weights(config.weight_decay, mask=mask)


def _momentum(config: ConfigDict) -> optax.GradientTransformation:
    return optax.trace(config.momentum, config.nesterov) if config.momentum else optax.identity()
