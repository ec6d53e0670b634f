"""A finished run's weights on the disk, and their digest."""

import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from benchmarks.errors import CheckpointError, first_line

_WEIGHTS = "weights"


def save_weights(workdir: Path, params: dict, batch_stats: dict) -> None:
    """Writes the weights of a finished run to `workdir/weights`, atomically."""
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(
            Path(workdir).absolute() / _WEIGHTS,
            {"params": params, "batch_stats": batch_stats},
            force=True,
        )


def has_weights(workdir: Path) -> bool:
    """Returns whether the folder of a run holds weights, whole or not."""
    return (Path(workdir) / _WEIGHTS).is_dir()


def load_weights(workdir: Path, params: dict, batch_stats: dict) -> tuple[dict, dict]:
    """Returns (params, batch_stats) of a finished run, with the shapes, types and shardings of the arguments.

    Raises:
      CheckpointError: there are none, or they are damaged or another model's.
    """
    folder = Path(workdir).absolute() / _WEIGHTS
    target = jax.tree.map(
        ocp.utils.to_shape_dtype_struct, {"params": params, "batch_stats": batch_stats}
    )
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            restored = checkpointer.restore(folder, target)
    except Exception as error:  # Orbax and what it builds on raise all kinds of errors
        raise CheckpointError(
            f"the weights in {folder} cannot be read: {first_line(error)}"
        ) from error
    return restored["params"], restored["batch_stats"]


def weights_digest(params: Any, batch_stats: Any) -> str:
    """Returns the SHA-256, in hex, over each array's path, type, shape and bytes, in the order of the paths."""
    digest = hashlib.sha256()
    leaves = jax.tree_util.tree_leaves_with_path({"params": params, "batch_stats": batch_stats})
    named = sorted(
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves
    )
    for name, leaf in named:
        array = np.ascontiguousarray(jax.device_get(leaf))
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()
