"""What a process must be started with: the allocator's settings, XLA's flags, the compilation cache."""

import os
import platform
import sys

from isobudget import paths

# Large arrays are freed and allocated again at each step. Keeping freed memory, in huge pages, more than halves a step
# of AlexNet on the CPU (docs/performance.md). The C library reads this once, when a process starts. With a single arena
# (`arena_max=1`) large steps would be faster still, but compiling takes longer: threads wait for one another.
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
    """Returns the environment with the allocator settings that runs on the CPU need, if it has none of its own."""
    if platform.libc_ver()[0] != "glibc":
        return environment
    return _ALLOCATOR | environment


def restart_with_allocator() -> None:
    """Starts this process anew with the allocator settings, which are read only when a process starts."""
    wanted = with_allocator(dict(os.environ))
    if wanted != dict(os.environ):
        os.execve(sys.executable, sys.orig_argv, wanted)


def use_deterministic_operations() -> None:
    """Makes XLA give the same bits every time on a GPU; must be called before anything touches a device."""
    flag = "--xla_gpu_deterministic_ops=true"  # this also keeps it from choosing kernels by speed
    given = os.environ.get("XLA_FLAGS", "")
    if flag not in given:
        os.environ["XLA_FLAGS"] = f"{given} {flag}".strip()


def use_compilation_cache() -> None:
    """Keeps compiled programs on the disk, so that a second run of the same model starts at once.

    The folder is `JAX_COMPILATION_CACHE_DIR` if that is set, otherwise one in the user's cache folder. It gets whatever
    took at least a tenth of a second to compile, or `JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS`.
    """
    import jax

    root = paths.cache_folder()
    if root and not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(root / "isobudget" / "jax"))
    if not os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
