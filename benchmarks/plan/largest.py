"""The largest batch that fits a target's memory, found by compiling the training step for one batch after another."""

import dataclasses
from collections.abc import Callable

from benchmarks.plan import figures
from benchmarks.plan.programs import Compiler, Job

# The answer is exact to this part of it.
_PRECISION = 1 / 16
# Of examples on one device; more would say nothing about training.
_MOST = 2**16


@dataclasses.dataclass(frozen=True)
class Largest:
    """The largest batch of a training step that fits.

    Attributes:
      batch_size: over all devices; None if not even one example on each device fits, or no step compiles.
      memory_bytes: what it needs on each device.
      compiled: how many steps were compiled to find it.
    """

    model: str
    image_size: int
    batch_size: int | None
    memory_bytes: int | None
    compiled: int


def find(job: Job, compiler: Compiler) -> Largest:
    """Returns the largest batch of a training step that fits, to within a sixteenth.

    Raises:
      ChildError: a process that compiles ended without an answer.
    """
    devices = job.target.devices
    memory: dict[int, int | None] = {}

    def fits(examples: int) -> bool:
        """Returns whether so many examples on each device fit."""
        sized = _with_batch(job, examples * devices)
        needed, usable = figures.memory(sized, compiler.compile(sized))
        memory[examples] = needed
        return needed is not None and (usable is None or needed <= usable)

    first = max(1, job.setup.config.batch_size // devices)
    best = bisect(fits, first, _PRECISION, _MOST)
    return Largest(
        model=job.setup.model,
        image_size=job.side or job.setup.image_size,
        batch_size=best * devices if best else None,
        memory_bytes=memory[best] if best else None,
        compiled=len(memory),
    )


def bisect(fits: Callable[[int], bool], first: int, precision: float, most: int) -> int | None:
    """Returns a number that fits, next to which one that is `precision` larger does not; None if 1 does not fit.

    Args:
      fits: whether a number does; if it does not, no larger one does.
      first: where to begin.
      precision: a fraction of the number that is returned.
      most: no larger number is tried.
    """
    low, high = 0, most + 1  # low fits, high does not
    size = min(first, most)
    while high - low > max(1, int(low * precision)):
        if fits(size):
            low = size
        else:
            high = size
        if high > most and low < most:
            size = min(2 * low, most)  # nothing was too large yet
        elif low == 0:
            size = high // 2
        else:
            size = (low + high) // 2
        if size == low:
            break
    return low or None


def _with_batch(job: Job, batch_size: int) -> Job:
    config = job.setup.config.copy_and_resolve_references()
    with config.unlocked():
        config.batch_size = batch_size
    return dataclasses.replace(job, setup=dataclasses.replace(job.setup, config=config))
