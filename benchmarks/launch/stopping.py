"""What a command that launches runs does when it is told to stop."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class StoppedError(Exception):
    """The command was told to stop (SIGTERM), and the runs under way have saved their state."""


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Turns SIGTERM into `StoppedError`; only in the main thread, because no other may listen for signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise StoppedError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Hears of SIGTERM and Ctrl-C at its end: within, there are calls that must not be interrupted by an exception."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    before: dict[int, Any] = {
        each: signal.signal(each, lambda number, frame: heard.append(number))
        for each in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    for number in heard[:1]:
        signal.raise_signal(number)
