"""The process that `results.audit` and `results.submit` ask for what needs models, data or training.

It reads a request a line from standard input (JSON) and answers each with a line. See `results.bundles.with_models`.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.audit import run, weights
from benchmarks.cli import command
from benchmarks.machine import startup
from isobudget.errors import UserError


def define_flags() -> None:
    """Defines no flag but those that all commands have."""


def main() -> None:
    """Answers requests until there are no more."""
    # Whatever libraries print goes to standard error, so that answers alone are on standard output.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    startup.use_compilation_cache()
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), file=answers, flush=True)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        if request["do"] == "pack":
            weights.pack(Path(request["folder"]), Path(request["out"]))
            return {"answer": None}
        return {"answer": run.audit(run.Request(**request))}
    except UserError as error:
        return {"mistake": str(error)}
    except (
        Exception
    ) as error:  # a stranger's record may bring anything about; the next one is answered
        return {"failed": f"it cannot be worked out here ({type(error).__name__})."}


if __name__ == "__main__":
    command.run(main, define_flags)
