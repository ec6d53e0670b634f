"""How long things take: the one stopwatch that every measurement uses."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax

from benchmarks.machine import distributed


def seconds(function: Callable[[], Any]) -> float:
    """Returns the seconds that a call takes, until what it returns is ready on its device."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def samples(
    function: Callable[[], Any],
    *,
    at_least: int,
    at_least_seconds: float = 0.0,
    at_most: int | None = None,
) -> list[float]:
    """Returns the seconds of each of several calls, after one that warms up.

    Every process makes the same number of calls, because in each they may exchange data.

    Args:
      function: what is timed.
      at_least: how many calls are timed, however long they take.
      at_least_seconds: more calls are made until they take this long together.
      at_most: how many calls are timed at most, however short; by default there is no limit.
    """
    seconds(function)
    taken = [seconds(function) for _ in range(at_least)]
    more = calls_left(sum(taken), at_least, at_least_seconds)
    if at_most is not None:
        more = min(more, at_most - at_least)
    return taken + [seconds(function) for _ in range(more)]


def calls_left(taken: float, calls: int, at_least_seconds: float) -> int:
    """Returns how many more calls are needed to last `at_least_seconds`, after `calls` calls took `taken` seconds.

    The slowest process decides for all.
    """
    slowest = distributed.slowest(taken)
    return max(0, math.ceil((at_least_seconds - slowest) / slowest * calls))
