"""Being told to go: a run that gets SIGTERM saves at once and says that it is to be run again."""

import signal
import threading

import jax

# EX_TEMPFAIL of sysexits.h: the same command will go on.
AGAIN_STATUS = 75


class PreemptedError(Exception):
    """The run was told to stop and has saved itself.

    Attributes:
      step: what it has saved.
    """

    def __init__(self, step: int):
        super().__init__(f"told to stop; saved at step {step}, the same command goes on")
        self.step = step


class Notice:
    """Listens for SIGTERM while it is entered; of several processes all hear of it at the same step."""

    def __init__(self):
        self._told = False
        self._before = None

    def __enter__(self) -> "Notice":
        if jax.process_count() > 1:
            return self  # JAX listens, since the processes were joined, and tells all; it must not be replaced
        # Only the main thread may listen; a notebook's caller in another thread goes without.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(self, *exception) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def given(self, step: int) -> bool:
        """Says whether the run is to save itself after this step."""
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            return multihost_utils.reached_preemption_sync_point(step)
        return self._told

    def _hear(self, *_) -> None:
        self._told = True
        # Told again, a run that hangs ends as any process does.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
