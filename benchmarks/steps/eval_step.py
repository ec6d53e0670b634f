"""One evaluation step: from a batch of a split to what is predicted for each of its examples."""

from collections.abc import Callable

import jax
from jax.sharding import Mesh

from benchmarks.config.setup import Setup
from benchmarks.machine.mesh import data_sharded, replicated, round_up_to_devices
from benchmarks.steps.abstract import abstract_batch, shapes
from benchmarks.steps.pure_model import PureModel
from benchmarks.steps.train_step import Batch


def eval_batch_size(setup: Setup, devices: int | None = None) -> int:
    """Returns the batch size of evaluation: the configured one, rounded up to divide among the devices.

    Args:
      setup: the run's.
      devices: how many there are; by default all of this run's.
    """
    return round_up_to_devices(setup.config.eval_batch_size, devices)


def lower_eval_step(
    setup: Setup,
    model: PureModel,
    params: dict,
    batch_stats: dict,
    mesh: Mesh,
    batch_size: int | None = None,
) -> jax.stages.Lowered:
    """Returns the evaluation step traced for the mesh, for which `params` and `batch_stats` only give the shapes.

    The batch size is by default `eval_batch_size` of the mesh's devices.
    """
    everywhere = replicated(mesh)
    batch = abstract_batch(
        model,
        batch_size or eval_batch_size(setup, mesh.size),
        setup.eval_image_size,
        data_sharded(mesh),
        setup.config.eval_crops,
    )
    return jax.jit(make_eval_step(model), out_shardings=everywhere).lower(
        *shapes((params, batch_stats), everywhere), batch
    )


def make_eval_step(model: PureModel) -> Callable[[dict, dict, Batch], dict[str, jax.Array]]:
    """Returns the function (params, batch_stats, batch) -> what is predicted for each example, to be compiled.

    It predicts what the task does (`tasks.Task.predict`), and adds mask [batch] (0 marks padding).
    """

    def eval_step(params: dict, batch_stats: dict, batch: Batch) -> dict[str, jax.Array]:
        logits = model.logits(params, batch_stats, batch["image"])
        return model.task.predict(logits, batch["label"]) | {"mask": batch["mask"]}

    return eval_step
