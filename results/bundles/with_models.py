"""What needs the models, the data or JAX, which this package does without: asked of `python -m benchmarks.audit`.

That is a process of its own, which is given one request a line (JSON) and gives one answer a line. It keeps `results`
free of all that. A record that makes a model of absurd size, or a training that crashes, costs the audit one answer.
"""

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from isobudget.errors import UserError
from results import RecordError

PROGRAM = "benchmarks.audit"
PATIENCE = 600.0  # seconds, for an answer


class NoAnswerError(Exception):
    """The process has none: one sentence on why."""


class Helper:
    """The process, started when it is first asked; a context manager."""

    def __init__(self, plugins: Sequence[str] = (), patience: float = PATIENCE):
        """
        Args:
          plugins: modules that it may import; it imports no others, whatever a record names.
          patience: seconds after which a request is given up, and the process with it.
        """
        self._plugins, self._patience = tuple(plugins), patience
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> "Helper":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def ask(self, request: Mapping[str, Any]) -> Any:
        """Returns the answer to a request.

        Raises:
          RecordError: the answer is a mistake of the user's.
          NoAnswerError: the process has none.
        """
        answer = self._answer(request)
        if "mistake" in answer:
            raise RecordError(answer["mistake"])
        if "failed" in answer:
            raise NoAnswerError(answer["failed"])
        return answer["answer"]

    def _answer(self, request: Mapping[str, Any]) -> Any:
        process = self._started()
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(dict(request)) + "\n")
            process.stdin.flush()
            line = self._answers.get(timeout=self._patience)
        except queue.Empty:
            self._stop()
            raise NoAnswerError(f"it took longer than {self._patience:.0f} seconds.") from None
        except OSError:
            line = ""
        if not line:
            self._stop()
            raise NoAnswerError(f"python -m {PROGRAM} ended before it had an answer.")
        return json.loads(line)

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is None:
            plugins = [f"--plugins={','.join(self._plugins)}"] if self._plugins else []
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", PROGRAM, *plugins],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            except OSError as error:
                raise UserError(f"python -m {PROGRAM} cannot be started: {error}.") from None
            self._answers = queue.Queue()
            threading.Thread(
                target=_listen, args=(self._process, self._answers), daemon=True
            ).start()
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin:
                process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listen(process: "subprocess.Popen[str]", answers: "queue.Queue[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        answers.put(line)
    answers.put("")  # it has ended
