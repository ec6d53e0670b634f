"""Whether it was the kernel that ended a process, because the machine or its container had no memory left."""

import contextlib
import signal
from pathlib import Path

# A container's own count, which no other container's processes are in, and the whole machine's.
_COUNTS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))


def kills() -> int | None:
    """Returns how many processes the kernel has ended so far for lack of memory; None where it does not say."""
    for path in _COUNTS:
        with contextlib.suppress(OSError, ValueError):
            for line in path.read_text().splitlines():
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    return int(number)
    return None


def is_sign_of_it(status: int, before: int | None) -> bool:
    """Returns whether a process with this exit status was ended by the kernel for lack of memory.

    Args:
      status: below 0, the signal that ended it.
      before: what `kills` returned before the process began.
    """
    now = kills()
    return status == -signal.SIGKILL and None not in (now, before) and now != before
