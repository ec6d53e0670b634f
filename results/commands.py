"""What the commands of this room share: a mistake is one sentence and exit status 2."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from results import RecordError, records
from results.records.files import write_atomically

_MOST_NAMED = 20


def run(action: Callable[[], None]) -> int:
    """Calls `action` and returns the exit status: 0, or 2 after a `RecordError` was told."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± still gets its table
    try:
        action()
    except RecordError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def name_left_out(problems: Sequence[records.Problem]) -> None:
    """Prints which files were left out, and why, on the error stream."""
    for problem in problems[:_MOST_NAMED]:
        print(f"Left out: {problem}", file=sys.stderr)
    if len(problems) > _MOST_NAMED:
        print(f"Left out: {len(problems) - _MOST_NAMED} more.", file=sys.stderr)


def add_out(parser: argparse.ArgumentParser) -> None:
    """Adds `--out`, of a Markdown or a JSON file; it may be given for each."""
    parser.add_argument(
        "--out",
        metavar="FILE",
        action="append",
        default=[],
        help="a file to write, FILE.md or FILE.json; may be given more than once",
    )


def write(paths: Sequence[str], texts: Mapping[str, Callable[[], str]]) -> None:
    """Writes each path with the text of its ending.

    Raises:
      RecordError: another ending, before anything is written; or it cannot be written.
    """
    for path in paths:
        if Path(path).suffix not in texts:
            raise RecordError(f"--out ends with {' or '.join(texts)}, and {path!r} does not.")
    for path in paths:
        try:
            write_atomically(path, texts[Path(path).suffix]())
        except OSError as error:
            raise unwritable(path, error) from None


def unwritable(path: str | os.PathLike[str], error: OSError) -> RecordError:
    """Returns the mistake of an --out that cannot be written."""
    return RecordError(
        f"{os.fspath(path)!r} cannot be written: {error.strerror or error}; choose another --out."
    )
