"""A run made ready to execute: its state on the devices and its compiled steps."""

import concurrent.futures
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

import models
from benchmarks import config as config_lib
from benchmarks import devices, optimizers, steps
from input_pipeline import seeds

# The compute dtype of a model, by the name that configurations use.
DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True)
class Program:
    """What a run executes.

    Attributes:
      mesh: the devices.
      model: the pure functions.
      optimizer: the transformation of gradients.
      train_step: compiled; (state, batch) -> (state, metrics), consuming the state.
      eval_step: compiled; (params, batch_stats, batch) -> sums.
    """

    mesh: Mesh
    model: steps.PureModel
    optimizer: optax.GradientTransformation
    train_step: Any
    eval_step: Any


def eval_batch_size(config: ConfigDict) -> int:
    """Returns the batch size of evaluation: the configured one, rounded up to divide among the devices."""
    return devices.round_up_to_devices(config.eval_batch_size)


def initial_state(config: ConfigDict, num_classes: int, num_steps: int, mesh: Mesh) -> steps.State:
    """Returns the state before the first step, on every device."""
    rngs = nnx.Rngs(params=seeds.key(config.seed, "initialisation"))
    model = models.create(config.model, num_classes, rngs=rngs, dtype=DTYPES[config.dtype])
    _, params, batch_stats = split(config, model)
    optimizer = _optimizer(config, num_steps)
    return devices.replicate(steps.initial_state(params, batch_stats, optimizer), mesh)


def abstract_state(config: ConfigDict, num_classes: int, num_steps: int, mesh: Mesh) -> steps.State:
    """Returns the shapes, types and shardings of a run's state; nothing is allocated."""
    _, params, batch_stats = abstract_model(config, num_classes)
    optimizer = _optimizer(config, num_steps)
    state = jax.eval_shape(
        lambda params, batch_stats: steps.initial_state(params, batch_stats, optimizer),
        *shapes((params, batch_stats)),
    )
    return shapes(state, devices.replicated(mesh))


def abstract_model(config: ConfigDict, num_classes: int) -> tuple[steps.PureModel, dict, dict]:
    """Returns (pure model, params, batch_stats), the last two of abstract arrays."""
    return split(
        config, models.create_abstract(config.model, num_classes, dtype=DTYPES[config.dtype])
    )


def compile_program(config: ConfigDict, num_classes: int, num_steps: int, mesh: Mesh) -> Program:
    """Compiles a run's two steps for the mesh; what they need is shapes alone."""
    model, _, _ = abstract_model(config, num_classes)
    optimizer = _optimizer(config, num_steps)
    state = abstract_state(config, num_classes, num_steps, mesh)
    side = config_lib.image_size(config)
    everywhere, sharded = devices.replicated(mesh), devices.data_sharded(mesh)
    train_step = steps.make_train_step(
        model,
        optimizer,
        label_smoothing=config.label_smoothing,
        seed=config.seed,
        random_erasing=config.augmentation.random_erasing,
        mixup=config.augmentation.mixup,
        cutmix=config.augmentation.cutmix,
    )
    train = jax.jit(train_step, donate_argnums=0, out_shardings=everywhere)
    lowered = (
        train.lower(state, _abstract_batch(config.batch_size, side, sharded)),
        lower_eval_step(config, model, state["params"], state["batch_stats"], mesh),
    )
    # Much of XLA's compiler runs on one core, so two programs at once are done sooner.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        compiled_train, compiled_evaluate = pool.map(lambda each: each.compile(), lowered)
    return Program(mesh, model, optimizer, compiled_train, compiled_evaluate)


def lower_eval_step(
    config: ConfigDict, model: steps.PureModel, params: dict, batch_stats: dict, mesh: Mesh
) -> jax.stages.Lowered:
    """Traces the evaluation step for the mesh; of `params` and `batch_stats` the shapes are taken."""
    everywhere, sharded = devices.replicated(mesh), devices.data_sharded(mesh)
    batch = _abstract_batch(
        eval_batch_size(config), config_lib.image_size(config), sharded, config.eval_crops
    )
    return jax.jit(steps.make_eval_step(model), out_shardings=everywhere).lower(
        *shapes((params, batch_stats), everywhere), batch
    )


def split(config: ConfigDict, model: models.Classifier) -> tuple[steps.PureModel, dict, dict]:
    """Returns (pure model, params, batch_stats) with the normalisation that `config` asks for."""
    info = models.info(config.model)
    return steps.split(model, config.mean or info.mean, config.std or info.std)


def _optimizer(config: ConfigDict, num_steps: int) -> optax.GradientTransformation:
    peak = config_lib.learning_rate(config)
    return optimizers.create_optimizer(config.optimizer, peak, num_steps)


def _abstract_batch(
    batch_size: int, side: int, sharding, crops: int = 1
) -> dict[str, jax.ShapeDtypeStruct]:
    image = (batch_size, *((crops,) if crops > 1 else ()), side, side, 3)
    return {
        "image": jax.ShapeDtypeStruct(image, jnp.uint8, sharding=sharding),
        "label": jax.ShapeDtypeStruct((batch_size,), jnp.int32, sharding=sharding),
        "mask": jax.ShapeDtypeStruct((batch_size,), jnp.float32, sharding=sharding),
    }


def shapes(tree: Any, sharding=None) -> Any:
    """Returns the shapes and types of a tree of arrays, with this sharding."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )
