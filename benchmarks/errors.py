"""What can go wrong with a run: users' mistakes, each explained in one sentence, and training that diverges."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from isobudget.errors import UserError


class ConfigError(UserError):
    """A configuration that cannot be run, explained in one sentence."""


class BudgetError(UserError):
    """A budget that cannot be spent, explained in one sentence."""


class CheckpointError(UserError):
    """Weights or a checkpoint that cannot be read, explained in one sentence."""


class StorageError(UserError):
    """There is no room left to write to. What was saved before is whole, and the same command goes on from there."""

    status = 1


class HostBusyError(ConfigError):
    """A budget of seconds cannot be spent beside other runs on one CPU. The same command goes on once they are over."""

    status = 1


class DivergedError(ArithmeticError):
    """Training reached a loss or a gradient that is not finite.

    Attributes:
      step: the first such step, counted from 1.
      loss: its loss.
      gradient_norm: its gradient's global norm.
    """

    def __init__(self, step: int, loss: float, gradient_norm: float):
        super().__init__(f"loss {loss} with gradient norm {gradient_norm} at step {step}")
        self.step = step
        self.loss = loss
        self.gradient_norm = gradient_norm


def first_line(error: BaseException) -> str:
    """Returns the first line of what an error says, at most 200 characters; its class if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


@contextlib.contextmanager
def storage_errors_told(folder: Path) -> Iterator[None]:
    """Turns any error that a full disk causes into one sentence about the folder that was written to.

    Raises:
      StorageError: there is no room left.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        if not is_out_of_room(error):
            raise
        raise StorageError(
            f"there is no room left on the disk of {folder}; free some, and run the same command again to go on."
        ) from error


def is_out_of_room(error: BaseException) -> bool:
    """Returns whether an error, or one that it followed from, says that a disk or a quota is full."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError) and chain.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        # What writes checkpoints has no error of its own for it, and quotes the system's.
        if isinstance(chain, UserError | ValueError | RuntimeError) and _FULL.search(str(chain)):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


_FULL = re.compile(
    rf"{os.strerror(errno.ENOSPC)}|{os.strerror(errno.EDQUOT)}|\bENOSPC\b|\bEDQUOT\b"
)
