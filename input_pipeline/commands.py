"""What the commands of this room share: a wrong flag is one sentence and exit status 2, and --help is no mistake."""

import sys
from collections.abc import Callable, Sequence

from absl import app, flags

MISTAKE_STATUS = 2


def run(main: Callable[[list[str]], int | None], define_flags: Callable[[], None]) -> None:
    """Parses the command line and exits with what `main` of the arguments returns; None is 0."""
    define_flags()
    app.run(main, flags_parser=_parse)


def _parse(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except SystemExit:
        # --help has been answered, which absl counts as an error.
        sys.exit(0)
    except flags.Error as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(MISTAKE_STATUS)
