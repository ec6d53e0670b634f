"""What the commands of `results` write and say: files of --out, and records that were left out."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from absl import flags

from isobudget import terminal
from isobudget.wording import quoted_path
from results import RecordError
from results.records.files import write_atomically
from results.records.folders import Problem

_MOST_NAMED = 20


def define_out(kinds: str) -> None:
    """Defines `--out`, files to write, which may be given more than once.

    Args:
      kinds: which files, such as `FILE.md or FILE.json`.
    """
    flags.DEFINE_multi_string("out", [], f"A file to write: {kinds}.")


def write(paths: Sequence[str], texts: Mapping[str, Callable[[], str]]) -> None:
    """Writes each path with the text of its ending.

    Args:
      paths: as `--out` has them.
      texts: by ending, such as `.md`, a function to the text.

    Raises:
      RecordError: another ending, before anything is written; or it cannot be written.
    """
    for path in paths:
        if Path(path).suffix not in texts:
            raise RecordError(
                f"--out ends with {' or '.join(texts)}, and {quoted_path(path)} does not."
            )
    for path in paths:
        try:
            write_atomically(path, texts[Path(path).suffix]())
        except OSError as error:
            raise unwritable(path, error) from None


def unwritable(path: str | os.PathLike[str], error: OSError) -> RecordError:
    """Returns the mistake of an --out that cannot be written."""
    return RecordError(
        f"{quoted_path(path)} cannot be written ({error.strerror or error}); choose another --out."
    )


def name_left_out(problems: Sequence[Problem]) -> None:
    """Prints which files were left out, and why, on the error stream."""
    for problem in problems[:_MOST_NAMED]:
        print(f"Left out: {terminal.one_line(str(problem))}", file=sys.stderr)
    if len(problems) > _MOST_NAMED:
        print(f"Left out: {len(problems) - _MOST_NAMED} more.", file=sys.stderr)
