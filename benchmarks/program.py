"""A run made ready to execute: its state on the devices and its compiled steps."""

import concurrent.futures
import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

import models
from benchmarks import config as config_lib
from benchmarks import devices, freezing, optimizers, steps, tasks, transfer
from input_pipeline import seeds

# The compute dtype of a model, by the name that configurations use.
DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True)
class Program:
    """What a run executes.

    Attributes:
      mesh: the devices.
      train_steps: compiled, by image size; (state, batch) -> (state, metrics), consuming the state. The metrics are one
        float32 array, so that they are fetched at once.
      metric_names: of what that array holds, in order.
      eval_step: compiled; (params, batch_stats, batch) -> what is predicted for each example.
      eval_one: the same for one example, on one device of this process.
    """

    mesh: Mesh
    train_steps: Mapping[int, Any]
    metric_names: tuple[str, ...]
    eval_step: Any
    eval_one: Any


def eval_batch_size(config: ConfigDict) -> int:
    """Returns the batch size of evaluation: the configured one, rounded up to divide among the devices."""
    return devices.round_up_to_devices(config.eval_batch_size)


def initial_state(config: ConfigDict, num_logits: int, num_steps: int, mesh: Mesh) -> steps.State:
    """Returns the state before the first step, on every device."""
    rngs = nnx.Rngs(params=seeds.key(config.seed, "initialisation"))
    model = models.create(config.model, num_logits, rngs=rngs, dtype=DTYPES[config.dtype])
    _, params, batch_stats = split(config, model)
    params, batch_stats = transfer.begin(config, params, batch_stats)
    return devices.replicate(_state(config, params, batch_stats, num_steps), mesh)


def abstract_state(config: ConfigDict, num_logits: int, mesh: Mesh) -> steps.State:
    """Returns the shapes, types and shardings of a run's state; nothing is allocated."""
    _, params, batch_stats = abstract_model(config, num_logits)
    state = jax.eval_shape(
        lambda params, batch_stats: _state(config, params, batch_stats, 1),
        *shapes((params, batch_stats)),
    )
    return shapes(state, devices.replicated(mesh))


def _state(config: ConfigDict, params: dict, batch_stats: dict, num_steps: int) -> steps.State:
    with_ema = config.ema_decay > 0
    return steps.initial_state(
        params,
        batch_stats,
        transfer.create_optimizer(config),
        num_steps,
        with_ema,
        freezing.of(config),
    )


def abstract_model(config: ConfigDict, num_logits: int) -> tuple[steps.PureModel, dict, dict]:
    """Returns (pure model, params, batch_stats), the last two of abstract arrays."""
    return split(
        config, models.create_abstract(config.model, num_logits, dtype=DTYPES[config.dtype])
    )


def compile_program(
    config: ConfigDict,
    num_logits: int,
    mesh: Mesh,
    accumulation: int | None = None,
    positive_weights: tuple[float, ...] = (),
) -> Program:
    """Compiles a run's steps for the mesh; what they need is shapes alone.

    Args:
      config: the run's.
      num_logits: the number of logits.
      mesh: the devices.
      accumulation: in how many parts a batch is worked on; `config.accumulation` unless given.
      positive_weights: of each logit, see `tasks.positive_weights`; empty for 1.
    """
    model, _, _ = abstract_model(config, num_logits)
    state = abstract_state(config, num_logits, mesh)
    everywhere, sharded = devices.replicated(mesh), devices.data_sharded(mesh)
    train_step = steps.make_train_step(
        model,
        transfer.create_optimizer(config),
        _settings(config, mesh, accumulation or config.accumulation, positive_weights),
    )
    metric_names: list[str] = []

    def with_one_array(state, batch):
        state, metrics = train_step(state, batch)
        metric_names[:] = sorted(metrics)
        return state, jnp.stack([metrics[name].astype(jnp.float32) for name in metric_names])

    train = jax.jit(with_one_array, donate_argnums=0, out_shardings=everywhere)
    sizes = sorted(set(config_lib.train_sizes(config)))
    lowered = [
        train.lower(state, _abstract_batch(model, config.batch_size, side, sharded))
        for side in sizes
    ]
    weights = state["params"], state["batch_stats"]
    lowered.append(lower_eval_step(config, model, *weights, mesh))
    lowered.append(lower_eval_step(config, model, *weights, devices.local_mesh(), batch_size=1))
    # Much of XLA's compiler runs on one core, so two programs at once are done sooner.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        *train_steps, eval_step, eval_one = pool.map(lambda each: each.compile(), lowered)
    by_size = dict(zip(sizes, train_steps, strict=True))
    return Program(mesh, by_size, tuple(metric_names), eval_step, eval_one)


def _settings(
    config: ConfigDict, mesh: Mesh, accumulation: int, positive_weights: tuple[float, ...]
) -> steps.Settings:
    peak = config_lib.learning_rate(config)
    return steps.Settings(
        learning_rate=lambda progress: optimizers.learning_rate(config.optimizer, progress, peak),
        label_smoothing=config.label_smoothing,
        positive_weights=positive_weights,
        seed=config.seed,
        random_erasing=config.augmentation.random_erasing,
        mixup=config.augmentation.mixup,
        cutmix=config.augmentation.cutmix,
        ema_decay=config.ema_decay,
        accumulation=accumulation,
        remat=config.remat,
        mesh=mesh if config.batch_norm_scope == "device" else None,
        frozen=freezing.of(config),
    )


def lower_eval_step(
    config: ConfigDict,
    model: steps.PureModel,
    params: dict,
    batch_stats: dict,
    mesh: Mesh,
    batch_size: int | None = None,
) -> jax.stages.Lowered:
    """Traces the evaluation step for the mesh; of `params` and `batch_stats` the shapes are taken.

    The batch size is `eval_batch_size` unless given.
    """
    everywhere, sharded = devices.replicated(mesh), devices.data_sharded(mesh)
    batch_size = batch_size or eval_batch_size(config)
    batch = _abstract_batch(
        model, batch_size, config_lib.eval_image_size(config), sharded, config.eval_crops
    )
    return jax.jit(steps.make_eval_step(model), out_shardings=everywhere).lower(
        *shapes((params, batch_stats), everywhere), batch
    )


def split(config: ConfigDict, model: models.Classifier) -> tuple[steps.PureModel, dict, dict]:
    """Returns (pure model, params, batch_stats) with the normalisation that `config` asks for."""
    info = models.info(config.model)
    return steps.split(
        model, config.mean or info.mean, config.std or info.std, tasks.TASKS[config.task]
    )


def _abstract_batch(
    model: steps.PureModel, batch_size: int, side: int, sharding, crops: int = 1
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
