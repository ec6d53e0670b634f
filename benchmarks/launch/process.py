"""One process of a run, started and followed on the machine that it runs on.

Nothing here imports JAX: on a cluster, whatever starts runs must itself start at once.
"""

import contextlib
import dataclasses
import os
import select
import subprocess
import sys
from collections.abc import Collection, Generator, Iterator, Mapping
from pathlib import Path

from benchmarks import configs
from benchmarks.cli import progress
from benchmarks.launch.spare import Spare
from benchmarks.machine import oom, startup
from benchmarks.runs.folder import CONFIG_FILE, LOG_FILE

TRAIN = "benchmarks.train"
# Imported only where a dataset needs it, which takes a third of a second.
_SOME_DATASETS_NEED = ("tensorflow_datasets.core",)
# How often a wait for the next event looks up, so that what interrupts it is noticed.
_TICK_MILLISECONDS = 200


@dataclasses.dataclass(frozen=True)
class Order:
    """What to start a process of a run with, on any machine that sees its folder.

    Attributes:
      workdir: the run's folder, which holds its configuration.
      flags: of `benchmarks.train`, besides those that say the configuration and the folder.
      log: the name of the file in the folder that gets what the process prints.
      module: what is run; `benchmarks.train`, or what stands in for it where launching itself is tested or measured.
    """

    workdir: Path
    flags: tuple[str, ...] = ()
    log: str = LOG_FILE
    module: str = TRAIN


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a process of a run ended.

    Attributes:
      status: its exit status; below 0, the signal that ended it.
      phase: of its last event.
      out_of_memory: whether the machine had no memory left and ended it.
      told: whether it was told to stop, because the machine is needed or going away.
    """

    status: int
    phase: str = ""
    out_of_memory: bool = False
    told: bool = False


def train(
    order: Order,
    environment: Mapping[str, str] = os.environ,
    cores: Collection[int] = (),
    spare: Spare | None = None,
) -> Generator[progress.Event | Ended]:
    """Yields a run's events as they come, and last how its process ended.

    If it is closed or interrupted on the way, the process is told to save its state and stop, and has ended by then.

    Args:
      order: what to start.
      environment: of the process, which gets the allocator's settings too.
      cores: those of the host's that it may use; all, if there are none.
      spare: a process that waits for a run, with the environment that it was started with, which becomes this one's.
    """
    kills, phase = oom.kills(), ""
    log_path = order.workdir / order.log
    with log_path.open("a") as log:
        waiting = spare.give(_arguments(order), log_path.absolute()) if spare else None
        process = waiting or _start(order, environment, cores, log.fileno())
        try:
            for line in _lines(process):
                event = progress.parse(line)
                if event:
                    phase = event.phase
                    yield event
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            if process.stdout:
                process.stdout.close()
    yield Ended(status, phase, oom.is_sign_of_it(status, kills))


def ready_spare(module: str = TRAIN, environment: Mapping[str, str] = os.environ) -> Spare:
    """Starts a process that waits for a run, and imports meanwhile what that needs.

    Args:
      module: what the run will be given to, see `Order`.
      environment: of the process, which gets the allocator's settings too.
    """
    # Runs read the dataset that this process has looked at: what that took to import here, it takes there.
    imports = [each for each in _SOME_DATASETS_NEED if each in sys.modules]
    return Spare(module, _whole(environment), imports)


def _start(
    order: Order, environment: Mapping[str, str], cores: Collection[int], log: int
) -> subprocess.Popen[bytes]:
    # -P: a folder here that is called as one of the packages must not be taken for it.
    command = [sys.executable, "-P", "-m", order.module, *_arguments(order)]
    with _confined_to(cores):
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env=_whole(environment)
        )


def _arguments(order: Order) -> list[str]:
    from_json = Path(configs.__file__).with_name("from_json.py")
    return [
        "--progress=json",
        f"--config={from_json}:{order.workdir / CONFIG_FILE}",
        f"--workdir={order.workdir}",
        *order.flags,
    ]


def _whole(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of a run's process: with this project's packages and the allocator's settings."""
    root = str(Path(configs.__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
    return startup.with_allocator({**environment, "PYTHONPATH": path})


@contextlib.contextmanager
def _confined_to(cores: Collection[int]) -> Iterator[None]:
    """Confines this thread, and what it starts meanwhile, to some of the host's cores."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yields the lines that a process prints; unlike a blocking read, it can be interrupted between them."""
    assert process.stdout
    pipe = process.stdout.fileno()
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    rest = b""
    while True:
        if not poll.poll(_TICK_MILLISECONDS):
            continue
        read = os.read(pipe, 2**16)
        if not read:
            return
        *lines, rest = (rest + read).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
