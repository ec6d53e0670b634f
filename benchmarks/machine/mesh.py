"""The mesh of devices, and moving batches and state onto it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

DATA_AXIS = "data"


def create_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns a one-dimensional mesh over the devices, by default every device of every process."""
    devices = devices or jax.devices()
    return jax.make_mesh(
        (len(devices),), (DATA_AXIS,), axis_types=(AxisType.Auto,), devices=devices
    )


def local_mesh() -> Mesh:
    """Returns a mesh of this process's first device alone."""
    return create_mesh(jax.local_devices()[:1])


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of the state: a whole copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def data_sharded(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of a batch: split along its first axis."""
    return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Returns the tree of host or device arrays with a copy on each device; every process holds the same values."""
    sharding = replicated(mesh)
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf)), tree
    )


def on_local_device(tree: Any) -> Any:
    """Returns the replicated tree's copy on this process's first device."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def place_batch(batch: dict[str, Any], mesh: Mesh) -> dict[str, Any]:
    """Returns the global batch, to which each process contributes its part; what is on the devices stays as it is."""
    sharding = data_sharded(mesh)
    there = {name: each for name, each in batch.items() if not isinstance(each, np.ndarray)}
    batch = {name: each for name, each in batch.items() if name not in there}
    if mesh.devices.flat[0].platform == "cpu":
        batch = {name: _own(array) for name, array in batch.items()}
    if jax.process_count() == 1:
        return there | jax.device_put(batch, sharding)  # all at once, which costs half
    return there | {
        name: jax.make_array_from_process_local_data(sharding, array)
        for name, array in batch.items()
    }


def _own(array: np.ndarray) -> np.ndarray:
    """Returns the array in this process's own memory.

    On the CPU, JAX keeps using the memory it is given and releases it late, but memory that is shared with a worker
    process has to be given back.
    """
    return array if type(array) is np.ndarray else np.array(array)


def placed(batches: Iterable[dict[str, np.ndarray]], mesh: Mesh) -> Iterator[dict[str, Any]]:
    """Yields each batch on the mesh."""
    for batch in batches:
        yield place_batch(batch, mesh)


def round_up_to_devices(batch_size: int, devices: int | None = None) -> int:
    """Returns the smallest batch size from `batch_size` that divides among this many devices, by default all."""
    devices = devices or jax.device_count()
    return -(-batch_size // devices) * devices
