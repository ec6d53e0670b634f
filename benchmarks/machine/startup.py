"""What a process must be started with: the allocator's settings, XLA's flags, the compilation cache."""

import os
import platform
import sys
from pathlib import Path

# Large arrays are freed and allocated again at each step. Keeping freed memory, in huge pages, more than halves a step
# of AlexNet on the CPU (docs/performance.md). The C library reads this once, when a process starts.
_ALLOCATOR = {
    "GLIBC_TUNABLES": ":".join(
        (
            "glibc.malloc.hugetlb=1",
            f"glibc.malloc.mmap_threshold={2**33}",
            f"glibc.malloc.trim_threshold={2**34}",
            f"glibc.malloc.top_pad={2**28}",
        )
    )
}


def with_allocator(environment: dict[str, str]) -> dict[str, str]:
    """Returns the environment with the allocator settings that runs on the CPU need, unless it has its own."""
    if platform.libc_ver()[0] != "glibc":
        return environment
    return _ALLOCATOR | environment


def restart_with_allocator() -> None:
    """Replaces this process by itself with the allocator settings, which only a new process takes."""
    wanted = with_allocator(dict(os.environ))
    if wanted != dict(os.environ):
        os.execve(sys.executable, sys.orig_argv, wanted)


def use_deterministic_operations() -> None:
    """Lets XLA use only what gives the same bits each time on a GPU; to be called before anything touches a device."""
    flag = "--xla_gpu_deterministic_ops=true"  # tunes no kernels by their speed either
    given = os.environ.get("XLA_FLAGS", "")
    if flag not in given:
        os.environ["XLA_FLAGS"] = f"{given} {flag}".strip()


def use_compilation_cache() -> None:
    """Keeps compiled programs on the disk, so that a second run of the same model starts at once.

    In `JAX_COMPILATION_CACHE_DIR` if that is set, else in the user's cache folder; what took half a second, or
    `JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS`.
    """
    import jax

    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(root) / "isobudget" / "jax"))
    if not os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
