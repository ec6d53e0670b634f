"""A Python process of its own that is asked one thing, answers and ends: the side that asks, and the one that answers.

What crosses is JSON. Nothing here imports JAX, so that a process of another library can answer too.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isobudget.errors import UserError

_ROOT = Path(__file__).resolve().parents[2]


class ChildError(UserError):
    """A process could not do what it was asked; the message says why in one sentence."""

    status = 1


def ask(arguments: Sequence[str], request: Mapping[str, Any], who: str) -> dict[str, Any]:
    """Returns what a Python process answers to a request.

    Args:
      arguments: Python's own: the path of a file, or `-m` and a module, that calls `answer`.
      request: what JSON can hold.
      who: the process, as messages name it.

    Raises:
      ChildError: it says that it cannot, or ended without an answer.
    """
    paths = filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))
    done = subprocess.run(
        # -P: a folder here that is called as one of the packages must not be taken for it.
        [sys.executable, "-P", *arguments],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        process_group=0,  # Ctrl-C is for the asking process alone, which then ends this one
        check=False,
    )
    try:
        told = json.loads(done.stdout.splitlines()[-1])  # before it, its imports may print
    except (ValueError, IndexError):
        raise ChildError(f"{who} ended without an answer, {_how(done.returncode)}.") from None
    if "error" in told:
        raise ChildError(told["error"])
    return told["answer"]


def answer(respond: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Reads the request from the standard input and writes what `respond` makes of it to the standard output.

    Whatever else is printed meanwhile goes to the standard error. A `UserError` is told as the reason why there is no
    answer.
    """
    with os.fdopen(os.dup(1), "w") as output:
        os.dup2(2, 1)
        told: dict[str, Any]
        try:
            told = {"answer": respond(json.load(sys.stdin))}
        except UserError as error:
            told = {"error": str(error)}
        json.dump(told, output)


def _how(status: int) -> str:
    """Returns how a process ended, by its exit status."""
    if status == -signal.SIGKILL:
        return "killed, as it is where a machine has no memory left"
    return f"by signal {-status}" if status < 0 else f"with exit status {status}"
