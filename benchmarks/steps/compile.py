"""A run's steps, compiled for a mesh of devices."""

import concurrent.futures
import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

import models
from benchmarks.config.setup import Setup
from benchmarks.machine.mesh import data_sharded, local_mesh, replicated
from benchmarks.steps import freezing, optimizers
from benchmarks.steps.abstract import (
    abstract_batch,
    abstract_model,
    abstract_state,
    create_optimizer,
)
from benchmarks.steps.cached_split import abstract_drawn_batch, make_read
from benchmarks.steps.eval_step import lower_eval_step
from benchmarks.steps.train_step import (
    Batch,
    Settings,
    State,
    TrainStep,
    make_train_step,
    metric_names,
)
from input_pipeline.device_cache import CachedSplit


@dataclasses.dataclass(frozen=True)
class Program:
    """What a run executes.

    Attributes:
      mesh: the devices.
      train_steps: compiled, by image size; (state, batch, progress) -> (state, metrics), consuming the
        state. Progress is a float32 scalar, see `train_step`; the metrics are one float32 array, so that they are
        fetched at once.
      metric_names: the names of what that array holds, in order.
      eval_step: compiled; (params, batch_stats, batch) -> what is predicted for each example.
      eval_one: the same for one example, on one device of this process; None if it was not asked for.
    """

    mesh: Mesh
    train_steps: Mapping[int, Any]
    metric_names: tuple[str, ...]
    eval_step: Any
    eval_one: Any


@dataclasses.dataclass(frozen=True)
class Saving:
    """How a training step saves memory.

    Attributes:
      accumulation: how many parts a batch is split into.
      remat: whether the insides of stages are computed again for the gradients, which changes no result.
    """

    accumulation: int
    remat: bool

    @classmethod
    def of(cls, config: ConfigDict) -> "Saving":
        """Returns what a configuration asks for."""
        return cls(config.accumulation, config.remat)


def compile_program(
    setup: Setup,
    mesh: Mesh,
    saving: Saving | None = None,
    positive_weights: tuple[float, ...] = (),
    for_one: bool = True,
    cached: CachedSplit | None = None,
) -> Program:
    """Returns a run's steps, compiled for the mesh from shapes alone.

    Args:
      setup: the run's.
      mesh: the devices.
      saving: how memory is saved; by default as the configuration says.
      positive_weights: one for each logit, see `tasks.positive_weights`; empty if all are 1.
      for_one: whether there is `eval_one`, which is compiled too.
      cached: the training split if it is on the devices; a step is then given what `DeviceSplit.beside` returns.
    """
    sides = sorted(set(setup.train_sizes))

    def lower_each() -> Iterator[jax.stages.Lowered]:
        # Training comes first because it takes XLA the longest.
        for side in sides:
            yield from lower_training(
                setup, mesh, saving, positive_weights, sides=(side,), cached=cached
            ).values()
        yield lower_evaluation(setup, mesh)
        if for_one:
            yield _lowered_for_one(setup, mesh)

    compiled = _compiled(lower_each())
    train_steps, (eval_step, *eval_one) = compiled[: len(sides)], compiled[len(sides) :]
    by_size = dict(zip(sides, train_steps, strict=True))
    return Program(mesh, by_size, metric_names(setup.task), eval_step, *(eval_one or [None]))


def lower_training(
    setup: Setup,
    mesh: Mesh,
    saving: Saving | None = None,
    positive_weights: tuple[float, ...] = (),
    sides: Collection[int] = (),
    cached: CachedSplit | None = None,
) -> dict[int, jax.stages.Lowered]:
    """Returns a run's training steps by image size, traced for the mesh: its devices need not be on this machine.

    Args:
      setup, mesh, saving, positive_weights, cached: as in `compile_program`.
      sides: the image sizes; by default all of the run's.
    """
    model, _, _ = abstract_model(setup)
    state = abstract_state(setup, mesh)
    names = metric_names(model.task)
    settings = _settings(setup, mesh, saving or Saving.of(setup.config), positive_weights)

    def lower_train_step(side: int) -> jax.stages.Lowered:
        if cached is None:
            train_step = make_train_step(model, create_optimizer(setup), settings)
            batch = abstract_batch(model, setup.config.batch_size, side, data_sharded(mesh))
        else:
            read = make_read(cached, setup, side, mesh)
            train_step = make_train_step(model, create_optimizer(setup), settings, read)
            batch = abstract_drawn_batch(cached, setup, side, mesh)
        train = jax.jit(
            _with_one_array(train_step, names), donate_argnums=0, out_shardings=replicated(mesh)
        )
        return train.lower(state, batch, progress)

    progress = jax.ShapeDtypeStruct((), jnp.float32, sharding=replicated(mesh))
    with _traced_for(mesh):
        return {side: lower_train_step(side) for side in sorted(sides or set(setup.train_sizes))}


def lower_evaluation(setup: Setup, mesh: Mesh) -> jax.stages.Lowered:
    """Returns a run's evaluation step, traced for the mesh: its devices need not be on this machine."""
    model, params, batch_stats = abstract_model(setup)
    with _traced_for(mesh):
        return lower_eval_step(setup, model, params, batch_stats, mesh)


def compile_evaluation(setup: Setup, mesh: Mesh) -> Program:
    """Returns a run's steps of evaluation alone, compiled for the mesh from shapes; it has none of training."""
    lowered = [lower_evaluation(setup, mesh), _lowered_for_one(setup, mesh)]
    eval_step, eval_one = _compiled(lowered)
    return Program(mesh, {}, metric_names(setup.task), eval_step, eval_one)


def _lowered_for_one(setup: Setup, mesh: Mesh) -> jax.stages.Lowered:
    """Returns the evaluation step for one example on this process's first device, in the form of the mesh's."""
    model, params, batch_stats = abstract_model(setup)
    with _traced_for(mesh):
        return lower_eval_step(setup, model, params, batch_stats, local_mesh(), batch_size=1)


def _traced_for(mesh: Mesh) -> contextlib.AbstractContextManager[None]:
    return models.traced_for(mesh.devices.flat[0].platform)


def _compiled(lowered: Iterable[jax.stages.Lowered]) -> list[Any]:
    """Returns the programs compiled: each while later ones are traced, and all at once."""
    # Much of XLA's compiler runs on one core, and tracing does: several programs keep several cores busy.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        compiling = [pool.submit(each.compile) for each in lowered]
        return [each.result() for each in compiling]


def _with_one_array(
    train_step: TrainStep, names: tuple[str, ...]
) -> Callable[[State, Batch, jax.Array], tuple[State, jax.Array]]:
    """Returns the step with its metrics as one float32 array, in the order of `names`."""

    def with_one_array(state: State, batch: Batch, progress: jax.Array) -> tuple[State, jax.Array]:
        state, metrics = train_step(state, batch, progress)
        return state, jnp.stack([metrics[name].astype(jnp.float32) for name in names])

    return with_one_array


def _settings(
    setup: Setup, mesh: Mesh, saving: Saving, positive_weights: tuple[float, ...]
) -> Settings:
    config = setup.config
    return Settings(
        learning_rate=lambda progress: optimizers.learning_rate(
            config.optimizer, progress, setup.learning_rate
        ),
        label_smoothing=config.label_smoothing,
        positive_weights=positive_weights,
        seed=config.seed,
        random_erasing=config.augmentation.random_erasing,
        mixup=config.augmentation.mixup,
        cutmix=config.augmentation.cutmix,
        ema_decay=config.ema_decay,
        accumulation=saving.accumulation,
        remat=saving.remat,
        mesh=mesh if config.batch_norm_scope == "device" else None,
        frozen=freezing.of(config),
    )
