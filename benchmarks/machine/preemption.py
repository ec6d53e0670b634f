"""Preemption: a run that gets SIGTERM saves its state at once, and its exit status asks for it to be run again."""

import signal
import threading

import jax

# EX_TEMPFAIL of sysexits.h: the same command will go on.
AGAIN_STATUS = 75


class PreemptedError(Exception):
    """The run was told to stop and has saved its state.

    Attributes:
      step: the step that it saved.
    """

    def __init__(self, step: int):
        super().__init__(f"told to stop; saved at step {step}; run the same command again to go on")
        self.step = step


class Notice:
    """Listens for SIGTERM while it is entered; if a run has several processes, all learn of it at the same step."""

    def __init__(self):
        self._told = False
        self._before = None

    def __enter__(self) -> "Notice":
        if jax.process_count() > 1:
            return self  # JAX has listened since the processes joined, and tells all; leave its handler
        # Only the main thread may listen; a notebook's caller in another thread goes without.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(self, *exception) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def given(self, step: int) -> bool:
        """Returns whether the run must save its state after this step and stop."""
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            return multihost_utils.reached_preemption_sync_point(step)
        return self._told

    def _hear(self, *_) -> None:
        self._told = True
        # A second SIGTERM ends a run that hangs, as it would end any process.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
