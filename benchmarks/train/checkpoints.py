"""Checkpoints of a run by Orbax: asynchronous and atomic, the newest two kept, each sealed with its files' digests.

A checkpoint is the whole state after a step (parameters, batch statistics, optimizer, averages, step) and the run's
clock, so that resuming needs nothing else. Of a run that has ended only the weights are kept, under `weights/`.
"""

import concurrent.futures
import hashlib
import json
import logging
import shutil
import sys
import threading
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from benchmarks.errors import CheckpointError, first_line
from benchmarks.steps.train_step import State
from results.records import files

_CHECKPOINTS, _SEALS = "checkpoints", "checkpoint_digests"
_KEPT = 2
_POLL_SECONDS = 0.02

# Orbax logs each step of its work and warns of its own defaults.
logging.getLogger("absl").setLevel(logging.ERROR)


class Checkpoints:
    """The checkpoints in `workdir/checkpoints`; a context manager that waits for the last save at its end."""

    def __init__(self, workdir: Path):
        self._directory = Path(workdir).absolute() / _CHECKPOINTS
        self._seals = Path(workdir).absolute() / _SEALS
        self._manager = ocp.CheckpointManager(
            self._directory,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=_KEPT,
                # Otherwise a save that was killed would leave its folder behind.
                cleanup_tmp_directories=True,
            ),
        )
        self._sealing = concurrent.futures.ThreadPoolExecutor(1)
        self._no_more_saves = threading.Event()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind, *exception) -> None:
        try:
            self.close()
        except CheckpointError:
            if kind is None:  # the error that ended the block must not be hidden
                raise

    def save(self, step: int, state: State, clock: dict[str, float]) -> None:
        """Begins to write the state after `step` steps and the clock (seconds by name); returns at once.

        Raises:
          CheckpointError: this checkpoint or the one before cannot be written; earlier ones are whole.
        """
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), clock=ocp.args.JsonSave(clock)
        )
        try:
            self._manager.save(step, args=items, force=True)
        except Exception as error:  # Orbax and what it builds on raise all kinds of errors
            raise self._not_written(error) from error
        if jax.process_index() == 0:
            self._sealing.submit(self._seal, step)

    def close(self) -> None:
        """Waits for the last save.

        Raises:
          CheckpointError: it could not be written; earlier ones are whole.
        """
        try:
            self._manager.close()
        except Exception as error:  # as above
            raise self._not_written(error) from error
        finally:
            self._no_more_saves.set()
            self._sealing.shutdown()

    def restore_latest(self, target: State) -> tuple[int, State, dict[str, float]] | None:
        """Returns (step, state, clock) of the newest whole checkpoint; None if there is none.

        A damaged one is reported on standard error and removed, and the one before it is taken.

        Args:
          target: the shapes, types and shardings to restore to.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                self._check(step)
                return step, *self._restore(step, target)
            except CheckpointError as error:
                print(f"warning: {error}; the one before it is used", file=sys.stderr, flush=True)
                self._manager.delete(step)
        return None

    def _restore(self, step: int, target: State) -> tuple[State, dict[str, float]]:
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, target)
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(abstract), clock=ocp.args.JsonRestore()
        )
        try:
            restored = self._manager.restore(step, args=items)
        except Exception as error:  # as above
            raise CheckpointError(
                f"the checkpoint of step {step} cannot be read ({first_line(error)})"
            ) from error
        return restored["state"], restored["clock"]

    def _seal(self, step: int) -> None:
        """Writes the digests of a checkpoint's files once it is whole, and removes those of deleted ones."""
        folder = self._directory / str(step)
        while not folder.exists():
            if self._no_more_saves.wait(_POLL_SECONDS) and not folder.exists():
                return
        digests = _file_digests(folder)
        files.write_atomically(self._seals / f"{step}.json", json.dumps(digests, indent=1) + "\n")
        for seal in self._seals.glob("*.json"):
            if not (self._directory / seal.stem).exists():
                seal.unlink(missing_ok=True)

    def _check(self, step: int) -> None:
        seal = self._seals / f"{step}.json"
        try:
            expected = json.loads(seal.read_text())
        except (OSError, ValueError):
            raise CheckpointError(
                f"the checkpoint of step {step} was not finished (it has no digests)"
            ) from None
        actual = _file_digests(self._directory / str(step))
        for name, digest in expected.items():
            if actual.get(name) != digest:
                raise CheckpointError(f"the checkpoint of step {step} is damaged ({name})")

    def _not_written(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"a checkpoint cannot be written in {self._directory}: {first_line(error)}"
        )


def delete_all(workdir: Path) -> None:
    """Removes every checkpoint of a run that has ended, whose weights are enough."""
    for name in (_CHECKPOINTS, _SEALS):
        shutil.rmtree(Path(workdir) / name, ignore_errors=True)


def _file_digests(folder: Path) -> dict[str, str]:
    """Returns the SHA-256, in hex, of each file below the folder by its path there."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            digests[path.relative_to(folder).as_posix()] = digest
    return digests
