"""A Python process of its own that answers requests: the side that asks, and the one that answers.

What crosses is JSON. Nothing here imports JAX, so that a process of another library can answer too.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isobudget.errors import UserError

_ROOT = Path(__file__).resolve().parents[2]
# Which open file the answers go to: the standard output is for whatever imports print.
_ANSWERS = "ISOBUDGET_ANSWERS"
# How often a process looks whether the one that asks is still there.
_LOOK_SECONDS = 0.5


class ChildError(UserError):
    """A process could not do what it was asked; the message says why in one sentence."""

    status = 1


class Child:
    """A Python process that answers one request after another, until it is closed."""

    def __init__(
        self,
        arguments: Sequence[str],
        who: str,
        environment: Mapping[str, str] | None = None,
    ):
        """Starts the process.

        Args:
          arguments: Python's own: the path of a file, or `-m` and a module, that calls `answer`.
          who: the process, as messages name it.
          environment: variables that it gets besides this process's own.
        """
        self._who = who
        reading, writing = os.pipe()
        self._answers = os.fdopen(reading)
        paths = filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))
        self._process = subprocess.Popen(
            # -P: a folder here that is called as one of the packages must not be taken for it.
            [sys.executable, "-P", *arguments],
            stdin=subprocess.PIPE,
            stdout=2,  # what libraries print
            text=True,
            env={
                **os.environ,
                **(environment or {}),
                "PYTHONPATH": os.pathsep.join(paths),
                _ANSWERS: str(writing),
            },
            pass_fds=(writing,),
            process_group=0,  # Ctrl-C is for the asking process alone, which then ends this one
        )
        os.close(writing)

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what the process answers to a request of what JSON can hold.

        Raises:
          ChildError: it says that it cannot, or ended without an answer.
        """
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # how it ended is told below
            print(json.dumps(request), file=self._process.stdin, flush=True)
        try:
            told = json.loads(self._answers.readline())
        except ValueError:
            status = self._process.wait()
            raise ChildError(f"{self._who} ended without an answer, {_how(status)}.") from None
        if "error" in told:
            raise ChildError(told["error"])
        return told["answer"]

    def close(self) -> None:
        """Ends the process, with those that it started, and frees what it held."""
        if self._answers.closed:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._answers.close()
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(arguments: Sequence[str], request: Mapping[str, Any], who: str) -> dict[str, Any]:
    """Returns what a process answers to the only request that it gets; see `Child`."""
    with Child(arguments, who) as child:
        return child.ask(request)


def answer(respond: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answers each request with what `respond` makes of it, until there are no more.

    A `UserError` is told as the reason why there is no answer. What is printed goes to the asking process's standard
    error. If that process is killed, this one ends at once, whatever it is doing.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with os.fdopen(int(os.environ[_ANSWERS]), "w") as output:
        for line in sys.stdin:
            told: dict[str, Any]
            try:
                told = {"answer": respond(json.loads(line))}
            except UserError as error:
                told = {"error": str(error)}
            try:
                print(json.dumps(told), file=output, flush=True)
            except BrokenPipeError:  # whoever asked is gone
                _end()


def _end_with(parent: int) -> None:
    """Waits for the end of the process that asks, then ends this one and those that it started."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    _end()


def _end() -> None:
    """Ends this process and those that it started."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _how(status: int) -> str:
    """Returns how a process ended, by its exit status."""
    if status == -signal.SIGKILL:
        return "killed, as it is where a machine has no memory left"
    return f"by signal {-status}" if status < 0 else f"with exit status {status}"
