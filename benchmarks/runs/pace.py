"""How far a run is at each step, as the share of its budget that is spent: what schedules read and what ends the run.

A budget that buys a number of steps knows this beforehand. Of a budget of seconds it is measured: every so often the
device is waited for and the clock read, and until the next time each step is taken to last as long as those before it.
What was measured is kept in the run's folder, so that the run can be repeated bit by bit.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import jax
import numpy as np

from benchmarks.errors import CheckpointError
from benchmarks.machine import distributed
from results.records import files, layout

# How much of the budget passes between two looks at the clock; near the end, less and less does.
_SHARE_BETWEEN_LOOKS = 0.002
# Schedules are functions of what lies below 1.
_ALMOST_ONE = float(np.nextafter(np.float32(1), np.float32(0)))
_NO_END = 10**9


@dataclasses.dataclass(frozen=True)
class Look:
    """What a look at the clock told.

    Attributes:
      step: how many steps were done.
      progress: the share of the budget that was spent.
      per_step: the share that a step takes.
    """

    step: int
    progress: float
    per_step: float

    def at(self, step: int) -> np.float32:
        """Returns the share that is spent after `step` steps, if each goes on taking as much."""
        share = self.progress + (step - self.step) * self.per_step
        return np.float32(min(share, _ALMOST_ONE))


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Steps that follow one another without a look at the clock.

    Attributes:
      first, end: how many steps are done before and after them.
      image_size: the side of their images in pixels.
      read_end: up to where batches of this size may be read ahead.
      steps: how many the run will have in all, as far as is known.
      progress: returns the share of the budget that is spent after a number of steps, float32, from 0 to below 1.
    """

    first: int
    end: int
    image_size: int
    read_end: int
    steps: int
    progress: Callable[[int], np.float32]


class Pace(Protocol):
    """Hands out a run's steps, a stretch at a time."""

    def after(self, step: int, seconds: Callable[[], float]) -> Stretch | None:
        """Returns what follows the first `step` steps; None if the run ends there.

        Args:
          step: how many are done, or under way.
          seconds: waits for them and returns the seconds of training so far.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Counted:
    """The pace of a budget that buys a number of steps; parts of equal length have the image sizes in turn."""

    num_steps: int
    sizes: tuple[int, ...]

    def after(self, step: int, seconds: Callable[[], float]) -> Stretch | None:
        for index, size in enumerate(self.sizes):
            end = round((index + 1) * self.num_steps / len(self.sizes))
            if step < end:
                return Stretch(step, end, size, end, self.num_steps, self._progress)
        return None

    def _progress(self, step: int) -> np.float32:
        return np.float32(step) / np.float32(self.num_steps)


class Repeated:
    """The pace of an earlier run, which every look at the clock of that run makes up."""

    def __init__(self, looks: Sequence[Look], num_steps: int, sizes: tuple[int, ...]):
        self._looks = looks
        self._num_steps = num_steps
        self._sizes = sizes

    def after(self, step: int, seconds: Callable[[], float]) -> Stretch | None:
        if step >= self._num_steps:
            return None
        ends = [*(look.step for look in self._looks[1:]), self._num_steps]
        look, end = next(pair for pair in zip(self._looks, ends, strict=True) if step < pair[1])
        size = _size(self._sizes, look)
        return Stretch(step, end, size, self._num_steps, self._num_steps, look.at)


class Timed:
    """The pace of a budget of seconds, which ends with the step that reaches it.

    All processes of a run go by the clock of the first.
    """

    def __init__(
        self, amount: float, sizes: tuple[int, ...], workdir: Path, start_step: int, spent: float
    ):
        """
        Args:
          amount: seconds of training.
          sizes: the side of the images in pixels, in each of the run's parts of equal length.
          workdir: the run's folder.
          start_step: how many steps earlier attempts have done.
          spent: the seconds of training that these took.

        Raises:
          CheckpointError: what earlier attempts measured is not in the folder.
        """
        self._amount = amount
        self._sizes = sizes
        self._path = layout.progress_in(workdir)
        self._earlier = start_step, spent
        self._per_step = spent / start_step if start_step else 0.0
        kept = [look for look in read(workdir) if look.step < start_step]
        if start_step and not kept:
            raise CheckpointError(f"{self._path}, which tells how fast the run went, is missing.")
        if jax.process_index() == 0:
            write(workdir, kept)

    def after(self, step: int, seconds: Callable[[], float]) -> Stretch | None:
        spent = distributed.of_first(seconds())
        if spent >= self._amount:
            return None
        earlier_step, earlier = self._earlier
        if step > earlier_step:
            self._per_step = (spent - earlier) / (step - earlier_step)
        self._earlier = step, spent
        look = Look(step, spent / self._amount, self._per_step / self._amount)
        self._keep(look)
        end = step + self._steps_between_looks(spent)
        left = (self._amount - spent) / self._per_step if self._per_step else 1.0
        return Stretch(
            *(step, end, _size(self._sizes, look), _NO_END),
            steps=step + max(1, math.ceil(left)),
            progress=look.at,
        )

    def _steps_between_looks(self, spent: float) -> int:
        """Returns how many steps to take at once: no more than half of those that are likely to be left."""
        if not self._per_step:
            return 1
        seconds = min(_SHARE_BETWEEN_LOOKS * self._amount, (self._amount - spent) / 2)
        return max(1, int(seconds / self._per_step))

    def _keep(self, look: Look) -> None:
        if jax.process_index() == 0:
            with self._path.open("a") as file:
                file.write(_line(look))


def read(folder: layout.FolderLike) -> list[Look]:
    """Returns the looks at the clock that a run's folder keeps, in order, up to a damaged line."""
    path = layout.progress_in(folder)
    looks: list[Look] = []
    if not path.exists():
        return looks
    for line in path.read_text(errors="replace").splitlines():
        try:
            look = Look(**json.loads(line))
            sound = look.at(look.step + 1) >= 0 and look.step > (looks[-1].step if looks else -1)
        except (TypeError, ValueError):
            sound = False
        if not sound:
            break
        looks.append(look)
    return looks


def write(folder: layout.FolderLike, looks: Iterable[Look]) -> None:
    """Writes the looks at the clock into a run's folder, in place of those that are there."""
    files.write_atomically(layout.progress_in(folder), "".join(map(_line, looks)))


def _line(look: Look) -> str:
    return json.dumps(dataclasses.asdict(look)) + "\n"


def _size(sizes: Sequence[int], look: Look) -> int:
    return sizes[min(int(look.progress * len(sizes)), len(sizes) - 1)]
