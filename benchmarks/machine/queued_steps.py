"""The speed of steps that are queued without waiting for each, so that what dispatching them costs is hidden.

Nothing here imports JAX, so that steps of another library are timed in the same way.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping

from benchmarks.machine import load

_WARM_UP_STEPS = 2
# A few steps at first say how many last long enough; where they were not typical, no more than so many times as many.
_MOST_GROWTH = 100


@dataclasses.dataclass(frozen=True)
class Pace:
    """How fast steps were.

    Attributes:
      steps_per_second: over steps in a row, after some that warm up.
      other_cores: how many of the process's cores other work kept busy meanwhile.
    """

    steps_per_second: float
    other_cores: float


def measure(
    step: Callable[[], object],
    wait: Callable[[], object],
    at_least_seconds: float,
    at_least_steps: int = 3,
) -> Pace:
    """Returns the pace of steps in a row.

    Args:
      step: begins a step, and need not wait for its end.
      wait: returns when all steps that were begun are over.
      at_least_seconds: how long the steps that are timed last at least, together.
      at_least_steps: how many they are at least.
    """
    _run(step, wait, _WARM_UP_STEPS)
    number = at_least_steps
    while True:
        watch = load.Watch()
        seconds = _run(step, wait, number)
        if seconds >= at_least_seconds:
            return Pace(number / seconds, watch.other_cores())
        enough = math.ceil(1.1 * number * at_least_seconds / seconds)
        number = min(max(enough, number + 1), number * _MOST_GROWTH)


def told(paces: Mapping[str, Pace], batch_size: int) -> dict[str, dict[str, float]]:
    """Returns paces by name as another process is told of them."""
    return {
        name: {
            "images_per_second": pace.steps_per_second * batch_size,
            "other_cores": pace.other_cores,
        }
        for name, pace in paces.items()
    }


def _run(step: Callable[[], object], wait: Callable[[], object], number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        step()
    wait()
    return time.perf_counter() - start
