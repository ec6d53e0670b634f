"""How busy this process's cores are with the work of others, beside which a speed says little.

Nothing here imports JAX, so that a process of another library can be measured with it too.
"""

import os
import time

import psutil

_BUSY = ("user", "nice", "system", "irq", "softirq", "steal")


class Watch:
    """Tells how many of this process's cores other processes kept busy since it was made."""

    def __init__(self) -> None:
        self._before = _read()

    def other_cores(self) -> float:
        """Returns the mean number of cores that others kept busy."""
        seconds, busy, own = (now - then for now, then in zip(_read(), self._before, strict=True))
        return max(0.0, busy - own) / seconds


def other_cores(seconds: float = 1.0) -> float:
    """Returns how many of this process's cores others keep busy, the mean over some seconds of waiting."""
    watch = Watch()
    time.sleep(seconds)
    return watch.other_cores()


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(_own_cores())


def _own_cores() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _read() -> tuple[float, float, float]:
    """Returns the time now, how long this process's cores have been busy, and how long with itself, in seconds."""
    by_core = psutil.cpu_times(percpu=True)
    own = [times for core, times in enumerate(by_core) if core in _own_cores()] or by_core
    busy = sum(getattr(times, kind, 0.0) for times in own for kind in _BUSY)
    return time.perf_counter(), busy, time.process_time()
