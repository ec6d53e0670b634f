"""Preemption: a run that gets SIGTERM or Ctrl-C saves its state at once, and its exit status asks to be run again."""

import signal
import threading
from typing import Any

import jax

# EX_TEMPFAIL of sysexits.h: the same command will go on.
AGAIN_STATUS = 75
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class PreemptedError(Exception):
    """The run was told to stop and has saved its state.

    Attributes:
      step: the step that it saved.
    """

    def __init__(self, step: int):
        super().__init__(f"told to stop; saved at step {step}; run the same command again to go on")
        self.step = step


class Notice:
    """Listens for SIGTERM and Ctrl-C while it is entered; the processes of a run all learn of it at the same step."""

    def __init__(self) -> None:
        self._told = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Notice":
        # Only the main thread may listen; a notebook's caller in another thread goes without.
        if threading.current_thread() is threading.main_thread():
            # Of several processes, JAX has listened for SIGTERM since they joined, and tells all; leave its handler.
            several = jax.process_count() > 1
            for each in () if several else _SIGNALS:
                self._before[each] = signal.signal(each, self._hear)
        return self

    def __exit__(self, *exception: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def given(self, step: int) -> bool:
        """Returns whether the run must save its state after this step and stop."""
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            return multihost_utils.reached_preemption_sync_point(step)
        return self._told

    def _hear(self, number: int, frame: object) -> None:
        del frame
        self._told = True
        # The same signal again ends a run that hangs, as it would end any process.
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)
