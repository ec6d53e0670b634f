"""A run made ready to execute: its state on the devices and its compiled steps."""

import concurrent.futures
import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from benchmarks.config import derived
from benchmarks.machine.mesh import data_sharded, local_mesh, replicated
from benchmarks.steps import freezing, optimizers
from benchmarks.steps.abstract import (
    _abstract_batch,
    abstract_model,
    abstract_state,
    create_optimizer,
)
from benchmarks.steps.eval_step import lower_eval_step
from benchmarks.steps.train_step import Settings, make_train_step


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
    everywhere, sharded = replicated(mesh), data_sharded(mesh)
    train_step = make_train_step(
        model,
        create_optimizer(config),
        _settings(config, mesh, accumulation or config.accumulation, positive_weights),
    )
    metric_names: list[str] = []

    def with_one_array(state, batch):
        state, metrics = train_step(state, batch)
        metric_names[:] = sorted(metrics)
        return state, jnp.stack([metrics[name].astype(jnp.float32) for name in metric_names])

    train = jax.jit(with_one_array, donate_argnums=0, out_shardings=everywhere)
    sizes = sorted(set(derived.train_sizes(config)))
    lowered = [
        train.lower(state, _abstract_batch(model, config.batch_size, side, sharded))
        for side in sizes
    ]
    weights = state["params"], state["batch_stats"]
    lowered.append(lower_eval_step(config, model, *weights, mesh))
    lowered.append(lower_eval_step(config, model, *weights, local_mesh(), batch_size=1))
    # Much of XLA's compiler runs on one core, so two programs at once are done sooner.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        *train_steps, eval_step, eval_one = pool.map(lambda each: each.compile(), lowered)
    by_size = dict(zip(sizes, train_steps, strict=True))
    return Program(mesh, by_size, tuple(metric_names), eval_step, eval_one)


def _settings(
    config: ConfigDict, mesh: Mesh, accumulation: int, positive_weights: tuple[float, ...]
) -> Settings:
    peak = derived.learning_rate(config)
    return Settings(
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
