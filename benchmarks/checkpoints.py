"""Checkpoints of a run, behind Orbax: asynchronous, atomic, the newest two kept.

A checkpoint is the whole state after a step (parameters, batch statistics, optimiser, step) and the run's clock, so
that resuming needs nothing else. When a run has ended its weights are kept alone, under `weights/`.
"""

import hashlib
import logging
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from benchmarks.errors import CheckpointError
from benchmarks.steps import State

_KEPT = 2

# Orbax tells each step of its work at INFO and warns of its own defaults.
logging.getLogger("absl").setLevel(logging.ERROR)


class Checkpoints:
    """The checkpoints in `workdir/checkpoints`; a context manager that waits for the last save at its end."""

    def __init__(self, workdir: Path):
        self._directory = Path(workdir).absolute() / "checkpoints"
        self._manager = ocp.CheckpointManager(
            self._directory,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=_KEPT,
                # A save that was killed leaves its folder behind otherwise.
                cleanup_tmp_directories=True,
            ),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception) -> None:
        self._manager.close()

    def save(self, step: int, state: State, clock: dict[str, float]) -> None:
        """Begins to write the state after `step` steps and the clock (seconds by name); returns at once."""
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), clock=ocp.args.JsonSave(clock)
            ),
            force=True,
        )

    def latest_step(self) -> int | None:
        """Returns the step of the newest complete checkpoint."""
        return self._manager.latest_step()

    def restore_latest(self, target: State) -> tuple[State, dict[str, float]] | None:
        """Returns the newest (state, clock), with the target's shapes, types and shardings; None if there is none."""
        step = self.latest_step()
        if step is None:
            return None
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, target)
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(abstract), clock=ocp.args.JsonRestore()
            ),
        )
        return restored["state"], restored["clock"]

    def delete_all(self) -> None:
        """Removes every checkpoint: of a run that has ended the weights are enough."""
        self._manager.wait_until_finished()
        self._manager.close()
        if jax.process_index() == 0:
            shutil.rmtree(self._directory, ignore_errors=True)


def save_weights(workdir: Path, params: dict, batch_stats: dict) -> None:
    """Writes the weights of a finished run to `workdir/weights`, atomically."""
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(
            Path(workdir).absolute() / "weights",
            {"params": params, "batch_stats": batch_stats},
            force=True,
        )


def load_weights(workdir: Path, params: dict, batch_stats: dict) -> tuple[dict, dict]:
    """Returns (params, batch_stats) of a finished run, with the shapes, types and shardings of those given.

    Raises:
      CheckpointError: there are none, or they are damaged or another model's.
    """
    folder = Path(workdir).absolute() / "weights"
    target = jax.tree.map(
        ocp.utils.to_shape_dtype_struct, {"params": params, "batch_stats": batch_stats}
    )
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            restored = checkpointer.restore(folder, target)
    except Exception as error:  # Orbax and what lies under it raise what they like
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"the weights in {folder} cannot be read: {reason[:200]}") from error
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
