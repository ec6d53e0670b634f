"""A training split on the devices, and how the compiled step makes batches of it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from benchmarks.config.setup import Setup
from benchmarks.machine.mesh import DATA_AXIS, data_sharded, replicate, replicated
from benchmarks.steps.abstract import shapes
from benchmarks.steps.train_step import Batch
from input_pipeline import augmentation, on_device_crops
from input_pipeline.device_cache import CachedSplit


@dataclasses.dataclass(frozen=True, eq=False)
class DeviceSplit:
    """A split with a copy on each device.

    Attributes:
      by_size: the arrays that a step looks up, by its image size; those of the pictures are the same for all sizes.
    """

    by_size: Mapping[int, Mapping[str, jax.Array]]

    @classmethod
    def of(cls, split: CachedSplit, setup: Setup, mesh: Mesh) -> "DeviceSplit":
        """Returns a split of the host's memory, copied to each device."""
        stored = replicate(on_device_crops.stored(split), mesh)
        by_size = {}
        for side in sorted(set(setup.train_sizes)):
            recipe = _recipe(split, setup, side)
            weights = replicate(on_device_crops.weights(recipe), mesh)
            by_size[side] = on_device_crops.looked_up(recipe, stored, weights)
        return cls(by_size)

    def beside(self, batch: Mapping[str, Any], image_size: int) -> dict[str, Any]:
        """Returns what a step of this image size is given: a drawn batch, and the split."""
        return {**batch, on_device_crops.CACHED: self.by_size[image_size]}


def abstract_drawn_batch(split: CachedSplit, setup: Setup, side: int, mesh: Mesh) -> dict[str, Any]:
    """Returns the shapes of what a step of this image size is given; see `DeviceSplit.beside`."""
    recipe = _recipe(split, setup, side)
    drawn = on_device_crops.drawn_shapes(recipe, setup.config.batch_size)
    looked_up = on_device_crops.looked_up(
        recipe, on_device_crops.stored(split), on_device_crops.weights(recipe)
    )
    return {
        **shapes(drawn, data_sharded(mesh)),
        on_device_crops.CACHED: shapes(looked_up, replicated(mesh)),
    }


def make_read(
    split: CachedSplit, setup: Setup, side: int, mesh: Mesh
) -> Callable[[dict[str, Any]], Batch]:
    """Returns the function that makes the batch of what a step is given, each device its own part."""
    examples = on_device_crops.make_examples(_recipe(split, setup, side))

    def read(batch: dict[str, Any]) -> Batch:
        specs = {name: PartitionSpec(DATA_AXIS) for name in batch}
        specs[on_device_crops.CACHED] = PartitionSpec()
        return jax.shard_map(
            examples,
            mesh=mesh,
            in_specs=(specs,),
            out_specs=PartitionSpec(DATA_AXIS),
            check_vma=False,
        )(batch)

    return read


def _recipe(split: CachedSplit, setup: Setup, side: int) -> on_device_crops.Recipe:
    return on_device_crops.recipe(split, augmentation.create(setup.config.augmentation), side)
