"""A run's clock: seconds by purpose, kept in checkpoints so that a resumed run goes on counting."""

import contextlib
import time
from collections.abc import Iterator


class Clock:
    """Seconds spent on `train`, `input_wait` (a part of `train`), `compile`, `evaluation` and in `total`."""

    NAMES = ("train", "input_wait", "compile", "evaluation", "total")

    def __init__(self, earlier: dict[str, float] | None = None):
        self._seconds = dict.fromkeys(self.NAMES, 0.0) | (earlier or {})
        self._started = time.perf_counter()

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Adds the time that the block takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        self._seconds[name] += seconds

    def __getitem__(self, name: str) -> float:
        return self.seconds()[name]

    def seconds(self) -> dict[str, float]:
        """Returns the seconds by name up to now."""
        now = time.perf_counter()
        self._seconds["total"] += now - self._started
        self._started = now
        return dict(self._seconds)
