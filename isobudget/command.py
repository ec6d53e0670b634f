"""What every command shares: flags, one sentence and exit status 2 for a mistake, and a traceback for a bug."""

import codecs
import contextlib
import inspect
import io
import logging
import os
import re
import select
import shutil
import sys
import textwrap
import traceback
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from absl import flags

from isobudget import plugins
from isobudget.errors import UserError
from isobudget.wording import escaped, quoted

MISTAKE_STATUS = 2
UNWRITTEN_STATUS = 1  # of a command whose output cannot be written
INTERRUPTED_STATUS = 130
# Where libraries print tracebacks of errors that they then raise: on a full disk, each of Orbax's threads and tasks.
_TALKATIVE = ("absl", "asyncio", "concurrent.futures")
# What TensorStore's threads meet that report to a loop of Orbax's which an error has already ended.
_TOO_LATE = "Event loop is closed"
PIPE_STATUS = (
    141  # of a command whose reader, such as `head`, has seen enough: what a shell calls SIGPIPE
)
PLAIN_LETTERS = "isobudget.plain_letters"  # how a stream writes what its encoding lacks
_PLAIN = {"±": "+-", "→": "->", "\u2212": "-", "·": ".", "…": "..."}
_WIDEST = 100  # characters, of the text of --help


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
    sys.exit(printed(lambda: _status(main, define_flags, takes_arguments, interrupted)))


def printed(main: Callable[[], int]) -> int:
    """Returns what `main` returns, whatever becomes of what it prints.

    A terminal's letters are made do with, a reader that is gone ends a command quietly, and an output that cannot be
    written, because a disk is full, with one sentence and status 1.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed before the start, by `>&-`
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for good
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN_LETTERS)  # a terminal without ± still gets its table
    try:
        with _unwritten_told(sys.stdout):
            status = main()
            sys.stdout.flush()
    except BrokenPipeError:
        if not _close_broken_streams():
            raise  # another pipe, such as a process's that died
        status = PIPE_STATUS
    except _UnwrittenError as error:
        _send_to_nowhere(sys.stdout)
        print(f"error: the standard output cannot be written: {error}.", file=sys.stderr)
        status = UNWRITTEN_STATUS
    return status


class _UnwrittenError(BaseException):
    """The standard output cannot be written.

    The system's own error does not say which file it is of, and would be taken for another's on its way.
    """


@contextlib.contextmanager
def _unwritten_told(stream: TextIO) -> Iterator[None]:
    """Raises `_UnwrittenError` where a stream cannot be written, unless its reader is gone."""

    def told(method: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any) -> Any:
            try:
                return method(*arguments)
            except BrokenPipeError:
                raise
            except OSError as error:
                reason = error.strerror or str(error)
            raise _UnwrittenError(reason)  # here, so that it does not bring the system's along

        return write

    methods = ("write", "flush")
    for name in methods:
        setattr(stream, name, told(getattr(stream, name)))
    try:
        yield
    finally:
        for name in methods:
            delattr(stream, name)  # and the class's own are there again


def _status(
    main: Callable[..., int | None],
    define_flags: Callable[[], None],
    takes_arguments: bool,
    interrupted: str,
) -> int:
    """Returns the exit status of a command, after running it; see `run`."""
    try:
        before = set(flags.FLAGS)
        _read_flag_files()
        define_flags()
        if _asks_for_help(sys.argv[1:]):
            print(usage(inspect.getmodule(main), set(flags.FLAGS) - before))
            return 0
        _quiet_libraries()
        arguments = _parse_flags()
        if arguments and not takes_arguments:
            raise UserError(f"there is no argument {quoted(arguments[0])}; see --help.")
        return (main(arguments) if takes_arguments else main()) or 0
    except UserError as error:
        print(f"error: {escaped(str(error))}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED_STATUS


def _quiet_libraries() -> None:
    """Leaves what libraries' threads meet to the error that they then raise."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    report = sys.unraisablehook

    def report_others(unraisable: "sys.UnraisableHookArgs") -> None:
        if str(unraisable.exc_value) != _TOO_LATE:
            report(unraisable)

    sys.unraisablehook = report_others


def _close_broken_streams() -> bool:
    """Sends what is left for a reader that is gone to nowhere; returns whether there was one."""
    gone = [stream for stream in (sys.stdout, sys.stderr) if _reader_is_gone(stream)]
    for stream in gone:
        _send_to_nowhere(stream)
    return bool(gone)


def _send_to_nowhere(stream: TextIO) -> None:
    """Sends what is left in a stream to nowhere: Python would write it again at exit, and complain."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def _reader_is_gone(stream: TextIO) -> bool:
    poll = select.poll()
    try:
        poll.register(stream.fileno(), select.POLLOUT)
    except (OSError, ValueError):  # it is no file, in a test or a notebook
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """Returns what stands for characters that an encoding lacks, such as `+-` for ±, and where they end.

    Other letters become their numbers, `\\u732b`, so that two names stay two.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    numbered = (each.encode("ascii", "backslashreplace").decode() for each in missing)
    return "".join(_PLAIN.get(a, b) for a, b in zip(missing, numbered, strict=True)), error.end


codecs.register_error(PLAIN_LETTERS, _in_plain_letters)


def usage(module: types.ModuleType | None, names: Iterable[str]) -> str:
    """Returns what --help prints: what the command's module says of it, then each of these flags."""
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    about = ((module and module.__doc__) or "").strip()
    paragraphs = (_filled(each, width) for each in about.split("\n\n"))
    listed = (_describe(name, width) for name in sorted(names))
    return "\n\n".join((*paragraphs, "Flags:\n\n" + "\n".join(listed)))


def _filled(paragraph: str, width: int) -> str:
    """Returns a paragraph of this width; indented lines, which are commands, stay as they are."""
    return paragraph if paragraph.startswith(" ") else textwrap.fill(paragraph, width)


def _describe(name: str, width: int) -> str:
    flag = flags.FLAGS[name]
    if flag.boolean:
        heading = f"  --[no]{name}"
    elif isinstance(flag, flags.EnumFlag):
        heading = f"  --{name}={'|'.join(flag.parser.enum_values)}"
    else:
        heading = f"  --{name}={name.upper()}"
    # absl puts an enumeration's values before the help, and behind that of a list how to give several.
    text = re.sub(r"^<[^>]*>: |; repeat this option.*$", "", " ".join((flag.help or "").split()))
    if flag.default not in (None, False, "", []):
        text += f" Default: {str(flag.default_as_str)[1:-1]}."
    indent = " " * 6
    filled = textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)
    return f"{heading}\n{filled}"


def _asks_for_help(arguments: Sequence[str]) -> bool:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return any(each in ("--help", "-help", "-h", "--helpfull", "--helpshort") for each in own)


def _read_flag_files() -> None:
    """Puts what the files of --flagfile hold in its place on the command line.

    Not left to the parser: a configuration's flag reads them when it is defined, and plug-ins are imported before it.

    Raises:
      UserError: a file cannot be read.
    """
    try:
        sys.argv = flags.FLAGS.read_flags_from_files(sys.argv, force_gnu=False)
    except UnicodeDecodeError:
        raise UserError("--flagfile: the file is no text in UTF-8.") from None
    except flags.Error as error:
        reason = re.sub(r"^ERROR:: |\[Errno \d+\] ", "", str(error))
        raise UserError(_sentence(f"--flagfile: {reason}")) from None


def _parse_flags() -> list[str]:
    """Parses the command line and returns what is left beside the flags.

    Raises:
      UserError: one sentence on the first flag that cannot be so.
    """
    if "plugins" in flags.FLAGS:
        plugins.load_from_command_line(sys.argv[1:])
    try:
        rest = flags.FLAGS(sys.argv)
        if "config" in flags.FLAGS and flags.FLAGS["config"].present:
            # A file that is missing or broken shows only when a field is looked at.
            flags.FLAGS.config.keys()
    except UserError:
        raise
    except flags.Error as error:
        # "Unknown command line flag" comes with suggestions.
        raise UserError(_sentence(_text(error))) from None
    except Exception as error:
        # What a configuration file raises, or ml_collections on a field that does not exist.
        raise UserError(_sentence(f"--config: {_text(error)}{_place(error)}")) from None
    return rest[1:]


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "?")) else f"{text}."


def _text(error: Exception) -> str:
    text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    flag, in_file, trace = text.partition("Error whilst parsing config file:")
    if in_file:
        # ml_collections puts a traceback there, whose last line is what the file says.
        return flag + trace.strip().splitlines()[-1].removeprefix("ValueError: ").removesuffix(".")
    if text.endswith("has no attribute 'get_config'"):
        return "the file has no function get_config."
    missing = re.search(r"--(\w+)=None: .* must have a value other than None", text)
    if missing and any(each.startswith("--config") for each in sys.argv) and missing[1] == "config":
        return "--config: get_config of the file returns nothing."
    if missing:
        return f"--{missing[1]} must be given; see --help."
    early = re.search(r"Found (\S+) in argv before a value for --config was specified", text)
    if early:
        return f"--config must be given before {early[1]}."
    if re.match(r"Unknown command line flag 'config\.", text) and "config" in flags.FLAGS:
        return "--config must be given; see --help."
    unknown = re.search(r"Did you mean \"(.*)\" instead of \"(.*)\"\?", text)
    if unknown:
        return f"there is no field {unknown[2]}; did you mean {unknown[1]}?"
    return text


def _place(error: Exception) -> str:
    """Returns where in a file of the user's an error comes from: ` (config.py, line 3)`; empty if in none."""
    if isinstance(error, SyntaxError):
        return f" ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    libraries = (str(Path(flags.__file__).parents[2]), str(Path(__file__).parent))
    own = [each for each in frames if not each.filename.startswith((*libraries, "<"))]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
