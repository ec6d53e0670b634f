"""A run's model, state and batches as shapes and types, with nothing allocated."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, Sharding

import models
from benchmarks.config.setup import Setup
from benchmarks.machine.mesh import replicated
from benchmarks.steps import freezing, optimizers
from benchmarks.steps.pure_model import PureModel, split_module
from benchmarks.steps.train_step import State, create_state

# The compute dtype of a model, by the name that configurations use.
DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}


def abstract_model(setup: Setup) -> tuple[PureModel, dict, dict]:
    """Returns (pure model, params, batch_stats), the last two of abstract arrays."""
    dtype = DTYPES[setup.config.dtype]
    model = models.create_abstract(setup.config.model, setup.num_logits, dtype=dtype)
    return split_configured(setup, model)


def split_configured(setup: Setup, model: models.Classifier) -> tuple[PureModel, dict, dict]:
    """Returns (pure model, params, batch_stats); the model normalizes images as the configuration says."""
    return split_module(model, setup.mean, setup.std, setup.task)


def abstract_state(setup: Setup, mesh: Mesh) -> State:
    """Returns the shapes, types and shardings of a run's state."""
    _, params, batch_stats = abstract_model(setup)
    state = jax.eval_shape(
        lambda params, batch_stats: first_state(setup, params, batch_stats),
        *shapes((params, batch_stats)),
    )
    return shapes(state, replicated(mesh))


def first_state(setup: Setup, params: dict, batch_stats: dict) -> State:
    """Returns the state before the first step, with these weights."""
    return create_state(
        params,
        batch_stats,
        create_optimizer(setup),
        with_ema=setup.config.ema_decay > 0,
        frozen=freezing.of(setup.config),
    )


def abstract_batch(
    model: PureModel, batch_size: int, side: int, sharding: Sharding, crops: int = 1
) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes of a batch of images [batch, side, side, 3], or [batch, crops, side, side, 3]."""
    image = (batch_size, *((crops,) if crops > 1 else ()), side, side, 3)
    batch = {
        "image": jax.ShapeDtypeStruct(image, jnp.uint8),
        "label": model.task.label_spec(batch_size, model.num_logits),
        "mask": jax.ShapeDtypeStruct((batch_size,), jnp.float32),
    }
    return shapes(batch, sharding)


def shapes(tree: Any, sharding: Sharding | None = None) -> Any:
    """Returns the shapes and types of a tree of arrays, with this sharding."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def create_optimizer(setup: Setup) -> optax.GradientTransformationExtraArgs:
    """Returns the run's optimizer; all but the head moves by `config.transfer.backbone_learning_rate` times as much.

    Every optimizer here takes a step in proportion to the learning rate, weight decay included.
    """
    optimizer = optimizers.create_optimizer(setup.config.optimizer)
    factor = setup.config.transfer.backbone_learning_rate
    if factor == 1:
        return optimizer
    backbone = freezing.backbone(setup.config)
    return optax.chain(optimizer, optax.masked(optax.scale(factor), backbone))
