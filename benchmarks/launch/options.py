"""The flags that say how a command's runs get done, the same for every command that launches runs."""

from absl import flags

from benchmarks.errors import ConfigError
from benchmarks.launch.launcher import Launcher
from benchmarks.launch.local import LocalLauncher
from isobudget.errors import UserError

_NEED_RAY = ("ray_address", "run_devices", "run_hosts")


def define_flags() -> None:
    flags.DEFINE_enum(
        "launcher",
        "local",
        ["local", "ray"],
        "How to get the runs done: local does one after another on this machine, and ray as many at once as the "
        "devices of a Ray cluster allow.",
    )
    flags.DEFINE_string(
        "ray_address",
        None,
        "The Ray cluster: auto for the one that this machine belongs to, or ray://HOST:PORT. By default one of this "
        "machine's own devices, which ends with the command. It goes with --launcher=ray.",
    )
    flags.DEFINE_integer(
        "run_devices",
        None,
        "How many devices of a host each run gets: GPUs, TPU chips or, where there are neither, CPU cores. By default "
        "one GPU, all TPU chips or all cores of a host. It goes with --launcher=ray.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "run_hosts",
        None,
        "How many hosts each run is spread over, with a process on each. By default 1. It goes with --launcher=ray.",
        lower_bound=1,
    )


def chosen() -> Launcher:
    """Returns the launcher that the flags ask for.

    Raises:
      ConfigError: the flags do not fit together.
      UserError: Ray is asked for and not installed.
    """
    given = flags.FLAGS
    if given.launcher == "local":
        for name in _NEED_RAY:
            if given[name].value is not None:
                raise ConfigError(f"--{name} goes with --launcher=ray.")
        return LocalLauncher()
    try:
        from benchmarks.launch.ray_cluster import RayLauncher
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UserError(
            "--launcher=ray needs Ray, which is not installed: pip install -e '.[cluster]'"
        ) from None
    return RayLauncher(given.ray_address, given.run_devices, given.run_hosts or 1)
