"""Python's garbage collector, kept from looking through millions of objects that all stay."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Collects nothing within this: importing and tracing allocate millions of objects, of which few are garbage.

    Within another such block, or where somebody turned the collector off, it stays off at the end.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
