"""What the commands of this package share beside `isobudget.command`: --config, --workdir and --plugins."""

from collections.abc import Callable

from absl import flags
from ml_collections import ConfigDict, config_flags

from benchmarks.config import plugins as config_plugins
from isobudget import command, plugins


def run(
    main: Callable[..., int | None],
    define_flags: Callable[[], None],
    *,
    takes_arguments: bool = False,
) -> None:
    """Runs a command as `isobudget.command.run` does, with --plugins among its flags."""

    def define_all() -> None:
        define_flags()
        plugins.define_flag()

    command.run(
        main,
        define_all,
        takes_arguments=takes_arguments,
        interrupted="stopped; the same command goes on from the last checkpoint",
    )


def define_run_flags(workdir_help: str) -> None:
    """Defines --config and --workdir, both required."""
    config_flags.DEFINE_config_file("config", None, "The configuration file.", lock_config=True)
    flags.DEFINE_string("workdir", None, workdir_help)
    flags.DEFINE_bool(
        "deterministic",
        False,
        "On GPUs too, give the same bits each time, at some cost: sets config.deterministic. CPUs do anyway.",
    )
    flags.mark_flags_as_required(["config", "workdir"])


def given_config() -> ConfigDict:
    """Returns --config with what other flags set in it, its plug-ins imported.

    Raises:
      isobudget.errors.PluginError: one cannot be imported.
    """
    config = flags.FLAGS.config
    config_plugins.add(config, flags.FLAGS.plugins)
    config_plugins.load(config)
    if flags.FLAGS.deterministic:
        config.deterministic = True
    return config
