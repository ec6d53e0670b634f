"""A run's model, state and batches as shapes and types: nothing is allocated."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.machine.mesh import replicated
from benchmarks.steps import freezing, optimizers
from benchmarks.steps.pure_model import PureModel, split_module
from benchmarks.steps.train_step import State, create_state

# The compute dtype of a model, by the name that configurations use.
DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}


def abstract_state(config: ConfigDict, num_logits: int, mesh: Mesh) -> State:
    """Returns the shapes, types and shardings of a run's state; nothing is allocated."""
    _, params, batch_stats = abstract_model(config, num_logits)
    state = jax.eval_shape(
        lambda params, batch_stats: _state(config, params, batch_stats, 1),
        *shapes((params, batch_stats)),
    )
    return shapes(state, replicated(mesh))


def _state(config: ConfigDict, params: dict, batch_stats: dict, num_steps: int) -> State:
    with_ema = config.ema_decay > 0
    return create_state(
        params,
        batch_stats,
        create_optimizer(config),
        num_steps,
        with_ema,
        freezing.of(config),
    )


def abstract_model(config: ConfigDict, num_logits: int) -> tuple[PureModel, dict, dict]:
    """Returns (pure model, params, batch_stats), the last two of abstract arrays."""
    return split_configured(
        config, models.create_abstract(config.model, num_logits, dtype=DTYPES[config.dtype])
    )


def split_configured(config: ConfigDict, model: models.Classifier) -> tuple[PureModel, dict, dict]:
    """Returns (pure model, params, batch_stats) with the normalisation that `config` asks for."""
    info = models.info(config.model)
    return split_module(
        model, config.mean or info.mean, config.std or info.std, tasks.TASKS[config.task]
    )


def _abstract_batch(
    model: PureModel, batch_size: int, side: int, sharding, crops: int = 1
) -> dict[str, jax.ShapeDtypeStruct]:
    image = (batch_size, *((crops,) if crops > 1 else ()), side, side, 3)
    batch = {
        "image": jax.ShapeDtypeStruct(image, jnp.uint8),
        "label": model.task.label_spec(batch_size, model.num_logits),
        "mask": jax.ShapeDtypeStruct((batch_size,), jnp.float32),
    }
    return shapes(batch, sharding)


def shapes(tree: Any, sharding=None) -> Any:
    """Returns the shapes and types of a tree of arrays, with this sharding."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def create_optimizer(config: ConfigDict) -> optax.GradientTransformationExtraArgs:
    """Returns the run's optimiser; all but the head moves by `config.transfer.backbone_learning_rate` times as much.

    Of every optimiser here the step is in proportion to the learning rate, decay of weights included.
    """
    optimizer = optimizers.create_optimizer(config.optimizer)
    factor = config.transfer.backbone_learning_rate
    if factor == 1:
        return optimizer
    return optax.chain(optimizer, optax.masked(optax.scale(factor), freezing.backbone(config)))
