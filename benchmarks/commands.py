"""What every command shares: a mistake is one sentence and exit status 2; a traceback is for bugs."""

import json
import logging
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import app, flags
from ml_collections import ConfigDict, config_flags

import input_pipeline
import models
import results
from benchmarks import config as config_lib
from benchmarks.errors import BudgetError, CheckpointError, ConfigError

MISTAKES = (
    ConfigError,
    BudgetError,
    CheckpointError,
    models.ModelError,
    input_pipeline.DataError,
    results.RecordError,
)
MISTAKE_STATUS = 2

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


def run(
    main: Callable[..., int | None],
    define_flags: Callable[[], None],
    *,
    takes_arguments: bool = False,
) -> None:
    """Parses the command line, calls `main` and exits with what it returns.

    Args:
      main: returns the exit status; None is 0. A mistake that it raises is told in one sentence.
      define_flags: defines the command's flags. Not done at import, so that commands can import one another.
      takes_arguments: what is left beside the flags is the one argument of `main`, a list of texts; otherwise it is a
        mistake.
    """
    try:
        define_flags()
        arguments = _parse_flags()
        if arguments and not takes_arguments:
            raise ConfigError(f"there is no argument {arguments[0]!r}; see --help.")
        logging.getLogger("absl").setLevel(logging.ERROR)
        status = (main(arguments) if takes_arguments else main()) or 0
    except MISTAKES as error:
        print(f"error: {error}", file=sys.stderr)
        status = MISTAKE_STATUS
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        status = 130
    sys.exit(status)


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
    """Returns --config with what other flags set in it."""
    config = flags.FLAGS.config
    if flags.FLAGS.deterministic:
        config.deterministic = True
    return config


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


def claim_directory(directory: Path, name: str, content: dict[str, Any]) -> None:
    """Makes the directory and writes `content` as its file `name`, or checks that the file there holds the same.

    Raises:
      ConfigError: it cannot be made or written, or belongs to another configuration.
    """
    path = directory / name
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise PermissionError(13, "Permission denied")
        if results.files.create_atomically(path, json.dumps(content, indent=2) + "\n"):
            return
        theirs = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(
            f"the working directory {directory} cannot be written: {error.strerror or error}."
        ) from None
    except ValueError:
        raise ConfigError(f"{path} is damaged; remove it or choose another --workdir.") from None
    different = list(config_lib.differences(theirs, json.loads(json.dumps(content))))
    if different:
        more = f" (and {len(different) - 3} more)" if len(different) > 3 else ""
        raise ConfigError(
            f"{directory} belongs to another configuration: {'; '.join(different[:3])}{more};"
            " choose another --workdir."
        )


def _parse_flags() -> list[str]:
    """Parses the command line and returns what is left beside the flags."""
    app.define_help_flags()
    try:
        rest = flags.FLAGS(sys.argv)
        if "config" in flags.FLAGS and flags.FLAGS["config"].present:
            # A file that is missing or broken shows only when a field is looked at.
            flags.FLAGS.config.keys()
    except SystemExit:
        # --help has been answered, which absl counts as an error.
        sys.exit(0)
    except flags.Error as error:
        # "Unknown command line flag" comes with suggestions, "must have a value" with the flag's name.
        raise ConfigError(_sentence(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError, OSError, SyntaxError) as error:
        # What ml_collections raises on a file or a field that does not exist, or a value of another type.
        raise ConfigError(_sentence(error)) from None
    return rest[1:]


def _sentence(error: Exception) -> str:
    text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    flag, in_file, trace = text.partition("Error whilst parsing config file:")
    if in_file:
        # ml_collections puts a traceback there, whose last line is what the file says.
        text = flag + trace.strip().splitlines()[-1].removeprefix("ValueError: ")
    return " ".join(text.split())
