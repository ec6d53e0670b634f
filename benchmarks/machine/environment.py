"""The software, the hardware and the code's commit that a run was made with."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import peaks

PACKAGES = (
    "isobudget",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "tensorflow-datasets",
    "array-record",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "simplejpeg",
)


def software(more: Sequence[str] = ()) -> dict[str, str]:
    """Returns the versions of Python and of the packages that a result may depend on, by name.

    Args:
      more: further packages; those that are not installed are left out.
    """
    versions = {"python": platform.python_version()}
    for package in (*PACKAGES, *more):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def hardware(dtype: str) -> dict[str, Any]:
    """Returns the devices JAX sees, and the host's processor, cores and memory (bytes).

    The peak FLOPs per second of one device in `dtype` are included if they are known.
    """
    import jax
    import psutil

    device = jax.devices()[0]
    peak = peaks.flops_per_second(device.device_kind, dtype)
    known = {} if peak is None else {"peak_flops_per_second": peak}
    return known | {
        "platform": device.platform,
        "device_kind": device.device_kind,
        "device_count": jax.device_count(),
        "process_count": jax.process_count(),
        "cpu": _processor_name(),
        "cpu_cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.system(),
    }


def git() -> tuple[str | None, bool | None]:
    """Returns (commit, whether tracked files differ from it); (None, None) if the code is not in a checkout."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None, None
    return commit, bool(_git("status", "--porcelain", "--untracked-files=no"))


def _git(*arguments: str) -> str | None:
    directory = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
