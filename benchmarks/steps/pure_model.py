"""A model as pure functions over plain nested dicts of arrays."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

import models
from benchmarks import tasks


@dataclasses.dataclass(frozen=True)
class PureModel:
    """A model split into its graph and plain nested dicts of arrays.

    Attributes:
      graph: the modules' structure.
      mean, std: each channel's mean and standard deviation, for images scaled to 0..1.
      num_logits: one for each class, or as many as the task has.
      task: the task that the logits are for.
      stage_names: the names of the stages' outputs in the jaxpr.
      auxiliary_weight: what each auxiliary loss is multiplied by.
      channel_order: `rgb`, or `bgr` for weights that expect blue first, and their mean and deviation likewise.
    """

    graph: nnx.GraphDef
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_logits: int
    task: tasks.Task
    stage_names: tuple[str, ...]
    auxiliary_weight: float
    channel_order: str = "rgb"

    def merge(self, params: dict, batch_stats: dict) -> models.Classifier:
        """Returns the model as a module that holds these arrays."""
        return nnx.merge(self.graph, params, batch_stats, copy=True)

    def normalize(self, images: jax.Array) -> jax.Array:
        """Returns float32 images [batch, height, width, 3] of uint8 ones in RGB, as the model expects them."""
        if self.channel_order == "bgr":
            images = images[..., ::-1]
        mean = jnp.array(self.mean, jnp.float32) * 255
        std = jnp.array(self.std, jnp.float32) * 255
        return (images.astype(jnp.float32) - mean) / std

    def logits(self, params: dict, batch_stats: dict, images: jax.Array) -> jax.Array:
        """Returns float32 logits [batch, num_logits] of uint8 images, in evaluation mode.

        For images [batch, crops, height, width, 3] they are those of the crops' mean confidence.
        """
        module = self.merge(params, batch_stats)
        if images.ndim == 4:
            return module(self.normalize(images))
        batch, crops = images.shape[:2]
        logits = module(self.normalize(images.reshape(batch * crops, *images.shape[2:])))
        return self.task.join_crops(logits.reshape(batch, crops, -1))


def split_module(
    model: models.Classifier,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    task: tasks.Task = tasks.SINGLE_LABEL,
) -> tuple[PureModel, dict, dict]:
    """Returns (pure model, params, batch_stats), the last two as plain nested dicts of arrays.

    Args:
      model: a module of real or of abstract values.
      mean, std: each channel's mean and standard deviation, for images scaled to 0..1.
      task: the task that its logits are for.
    """
    graph, *states = nnx.split(model, nnx.Param, nnx.BatchStat)
    params, batch_stats = map(nnx.to_pure_dict, states)
    pure = PureModel(
        graph=graph,
        mean=tuple(mean),
        std=tuple(std),
        num_logits=model.num_classes,
        task=task,
        stage_names=tuple(f"stage:{name}" for name in model.stages()),
        auxiliary_weight=model.auxiliary_weight,
    )
    return pure, params, batch_stats
