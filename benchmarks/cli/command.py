"""The flags that this package's commands share: --config, --workdir, --deterministic and --plugins."""

from collections.abc import Callable

from absl import flags
from ml_collections import ConfigDict, config_flags

from benchmarks.config import plugins as config_plugins
from benchmarks.errors import ConfigError
from isobudget import command, plugins


def run(
    main: Callable[..., int | None],
    define_flags: Callable[[], None],
    *,
    takes_arguments: bool = False,
    resumes: bool = False,
) -> None:
    """Runs a command as `isobudget.command.run` does, with --plugins among its flags.

    Args:
      main, define_flags, takes_arguments: as there.
      resumes: whether the same command goes on after Ctrl-C.
    """

    def define_all() -> None:
        define_flags()
        plugins.define_flag()

    command.run(
        main,
        define_all,
        takes_arguments=takes_arguments,
        interrupted="stopped; run the same command again to go on" if resumes else "stopped",
    )


def define_config_flag() -> None:
    """Defines --config, which is required."""
    config_flags.DEFINE_config_file(
        "config",
        None,
        "The configuration file, such as benchmarks/configs/digits.py. Any of its fields can be changed too, as in "
        "--config.batch_size=64; benchmarks/config/fields.py explains them all.",
        lock_config=True,
    )
    flags.mark_flag_as_required("config")


def define_run_flags(workdir_help: str) -> None:
    """Defines --config and --workdir, both required, and --deterministic.

    Args:
      workdir_help: what --help says of --workdir.
    """
    define_config_flag()
    flags.DEFINE_string("workdir", None, workdir_help)
    flags.DEFINE_bool(
        "deterministic",
        False,
        "Make a GPU give the same bits every time, at some cost in speed. It sets config.deterministic; a CPU does so "
        "anyway.",
    )
    flags.mark_flag_as_required("workdir")


def given_config() -> ConfigDict:
    """Returns --config, changed as the other flags say and with its plug-ins imported.

    Raises:
      isobudget.errors.PluginError: a plug-in cannot be imported.
    """
    config = flags.FLAGS.config
    if not isinstance(config, ConfigDict) or "budget" not in config:
        raise ConfigError(
            "--config is a file whose get_config returns a configuration made from"
            " benchmarks.config.default_config()."
        )
    config_plugins.add(config, flags.FLAGS.plugins)
    config_plugins.load(config)
    if "deterministic" in flags.FLAGS and flags.FLAGS.deterministic:
        config.deterministic = True
    return config
