"""A process that has imported what a run needs and waits for one, while another run is still under way.

Importing JAX and what goes with it takes 1.5 seconds of a core, in which a suite would otherwise do nothing else.
"""

import contextlib
import importlib
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from isobudget import collector


class Spare:
    """A process that waits for a run; it ends with whoever started it."""

    def __init__(self, module: str, environment: Mapping[str, str], imports: Sequence[str] = ()):
        """Starts it.

        Args:
          module: the package of the command that runs will be given to, which is imported at once.
          environment: of the process.
          imports: what else it imports.
        """
        self._process = subprocess.Popen(
            # -P: as where a run's own process is started (`process.py`).
            [sys.executable, "-P", "-m", "benchmarks.launch.spare", module, *imports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a run's own log gets what it prints from then on
            env=dict(environment),
        )

    def give(self, arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes] | None:
        """Returns the process, which runs the command with these arguments; None if it has died of something else.

        Args:
          arguments: of the command.
          log: the file to which what the process prints on standard error is added.
        """
        assert self._process.stdin
        order = json.dumps({"arguments": [*arguments], "log": str(log)})
        try:
            with self._process.stdin as pipe:
                pipe.write(order.encode() + b"\n")
        except BrokenPipeError:
            self.close()
            return None
        return self._process

    def close(self) -> None:
        """Ends it, if it was given nothing."""
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def main(module: str, *imports: str) -> None:
    """Imports the command's package, and `imports`, and runs the command once it is told its arguments."""
    try:
        with collector.paused():
            for each in (module, *imports):
                importlib.import_module(each)
        line = sys.stdin.readline()
    except KeyboardInterrupt:  # whoever started it says so
        return
    if not line:
        return
    order = json.loads(line)
    # What a process of its own would have been started with.
    for path, flags, stream in (
        (order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 2),
        (os.devnull, os.O_RDONLY, 0),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, stream)
        os.close(opened)
    sys.argv = [module, *order["arguments"]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
