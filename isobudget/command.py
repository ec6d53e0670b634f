"""What every command shares: flags, one sentence and exit status 2 for a mistake, and a traceback for a bug."""

import io
import logging
import sys
from collections.abc import Callable

from absl import app, flags

from isobudget import plugins
from isobudget.errors import UserError

# Else `--help` would list flags that are defined here as this module's, where nobody looks.
flags.disclaim_key_flags()

MISTAKE_STATUS = 2
INTERRUPTED_STATUS = 130


def run(
    main: Callable[..., int | None],
    define_flags: Callable[[], None],
    *,
    takes_arguments: bool = False,
    interrupted: str = "stopped",
) -> None:
    """Parses the command line, calls `main` and exits with what it returns.

    Args:
      main: returns the exit status; None is 0. A `UserError` that it raises is told in one sentence.
      define_flags: defines the command's flags. Not done at import, so that commands can import one another. A command
        that defines --plugins (`plugins.define_flag`) gets them imported before any other flag is read.
      takes_arguments: what is left beside the flags is the one argument of `main`, a list of texts; otherwise it is a
        mistake.
      interrupted: what is said after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± still gets its table
    try:
        define_flags()
        arguments = _parse_flags()
        if arguments and not takes_arguments:
            raise UserError(f"there is no argument {arguments[0]!r}; see --help.")
        logging.getLogger("absl").setLevel(logging.ERROR)
        status = (main(arguments) if takes_arguments else main()) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = MISTAKE_STATUS
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        status = INTERRUPTED_STATUS
    sys.exit(status)


def _parse_flags() -> list[str]:
    """Parses the command line and returns what is left beside the flags.

    Raises:
      UserError: one sentence on the first flag that cannot be so.
    """
    if "plugins" in flags.FLAGS:
        plugins.load_from_command_line(sys.argv[1:])
    app.define_help_flags()
    try:
        rest = flags.FLAGS(sys.argv)
        if "config" in flags.FLAGS and flags.FLAGS["config"].present:
            # A file that is missing or broken shows only when a field is looked at.
            flags.FLAGS.config.keys()
    except SystemExit:
        # --help has been answered, which absl counts as an error.
        sys.exit(0)
    except UserError:
        raise
    except flags.Error as error:
        # "Unknown command line flag" comes with suggestions, "must have a value" with the flag's name.
        raise UserError(_sentence(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError, OSError, SyntaxError) as error:
        # What ml_collections raises on a file or a field that does not exist, or a value of another type.
        raise UserError(_sentence(error)) from None
    return rest[1:]


def _sentence(error: Exception) -> str:
    text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    flag, in_file, trace = text.partition("Error whilst parsing config file:")
    if in_file:
        # ml_collections puts a traceback there, whose last line is what the file says.
        text = flag + trace.strip().splitlines()[-1].removeprefix("ValueError: ")
    return " ".join(text.split())
