"""Joining the processes of one run, one for each host of a pod slice or a cluster."""

import jax
import numpy as np
from absl import flags

from benchmarks.errors import ConfigError


def define_flags() -> None:
    flags.DEFINE_bool(
        "distributed",
        False,
        "Join the other processes of the run, as a TPU pod, Slurm or Open MPI describes them. Elsewhere, give "
        "--coordinator, --processes and --process instead.",
    )
    flags.DEFINE_string(
        "coordinator",
        None,
        "The HOST:PORT of the run's first process. It goes with --processes and --process.",
    )
    flags.DEFINE_integer(
        "processes",
        None,
        "The number of processes of the run. It goes with --coordinator and --process.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "process",
        None,
        "Which of the run's processes this is, counted from 0. It goes with --coordinator and --processes.",
        lower_bound=0,
    )


def join() -> None:
    """Joins the other processes as the flags say; must be called before anything touches a device.

    Raises:
      ConfigError: the flags do not fit together, or nothing here describes the processes.
    """
    given = flags.FLAGS
    by_hand = (given.coordinator, given.processes, given.process)
    if any(each is not None for each in by_hand):
        if any(each is None for each in by_hand):
            raise ConfigError("--coordinator, --processes and --process go together.")
        if given.process >= given.processes:
            raise ConfigError(f"--process is below {given.processes}, not {given.process}.")
        jax.distributed.initialize(*by_hand)
    elif given.distributed:
        try:
            jax.distributed.initialize()
        except ValueError as error:
            raise ConfigError(
                "--distributed finds no cluster here; say --coordinator=HOST:PORT --processes=N --process=I"
                f" ({str(error).splitlines()[0]})"
            ) from error
    else:
        return
    # On the CPU, two programs that run at once may exchange data in another order than on the other processes, which
    # ends them all. This is read when the CPU's client is made.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    # On the CPU, a program that one process takes from the cache and another compiles may exchange gradients in another
    # order, which ends both.
    if jax.default_backend() == "cpu":
        jax.config.update("jax_enable_compilation_cache", False)


def wait_for_all(what: str) -> None:
    """Waits until every process of the run has come this far.

    Args:
      what: a name for it, the same on every process.
    """
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(what)


def slowest(seconds: float) -> float:
    """Returns the longest of the processes' times, the same on every process."""
    if jax.process_count() == 1:
        return seconds
    from jax.experimental import multihost_utils

    return float(np.max(multihost_utils.process_allgather(np.float64(seconds))))


def of_first(seconds: float) -> float:
    """Returns the time of the first process, the same on every process.

    How many steps there are must not depend on a process's own clock: the processes would make different numbers of
    steps, and each step waits for all of them.
    """
    if jax.process_count() == 1:
        return seconds
    from jax.experimental import multihost_utils

    return float(multihost_utils.broadcast_one_to_all(np.float64(seconds)))
