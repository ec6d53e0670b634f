"""How much memory this process took, and whether an error says that there is none left."""

import errno
import sys

import jax


def peak_bytes() -> int | None:
    """Returns the peak of the process's fullest device, or on a CPU of the process itself; None if it is unknown.

    A process's peak never falls: in a process that trained several models it is that of the largest.
    """
    if jax.default_backend() == "cpu":
        return _process_peak()
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [each["peak_bytes_in_use"] for each in stats if "peak_bytes_in_use" in each]
    return max(peaks, default=None)


def device_bytes() -> int | None:
    """Returns the memory of this process's smallest device, of a CPU its share of the host's; None if it is unknown."""
    devices = jax.local_devices()
    if jax.default_backend() == "cpu":
        import psutil

        return psutil.virtual_memory().total // len(devices)
    stats = [device.memory_stats() or {} for device in devices]
    limits = [each["bytes_limit"] for each in stats if "bytes_limit" in each]
    return min(limits, default=None)


def _process_peak() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error is about memory, the host's or a device's; a full disk is not.

    XLA's own errors tell which they are by the status that they begin with. Other libraries use the same words for
    other things: tensorstore says RESOURCE_EXHAUSTED of a full disk.
    """
    if isinstance(error, jax.errors.JaxRuntimeError):
        return "RESOURCE_EXHAUSTED" in str(error)
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError)
