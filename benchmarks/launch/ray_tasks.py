"""What is done on a cluster's nodes: probing the shared folder, and following a process of a run.

Nothing here imports JAX, whose import would cost each of Ray's workers seconds.
"""

import contextlib
import dataclasses
import os
import signal
import socket
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import ray

from benchmarks.cli import progress
from benchmarks.launch import cores, process, stopping

# The driver's own settings of these hold on every node that has none of its own.
CARRIED = ("TFDS_DATA_DIR", "XLA_FLAGS")
# How long a network file system may take to show a new file to another machine.
_SECONDS_TO_SHOW = 15.0
_SECONDS_BETWEEN_EVENTS = 0.5


@dataclasses.dataclass(frozen=True)
class Token:
    """A file in the shared folder by which a node tells that it sees the same folder.

    Attributes:
      folder: the one that must be shared.
      text: what the file says.
    """

    folder: Path
    text: str

    @property
    def path(self) -> Path:
        return self.folder / f".probe-{self.text}"

    def answer(self, node: str) -> Path:
        """Returns where a node's answer lies."""
        return self.folder / f".probe-{self.text}-{node}"

    def is_seen(self) -> bool:
        """Returns whether this machine sees it, after waiting for a slow file system."""
        return seen(self.path, self.text)


class Board:
    """Where the processes of runs say how far they are, for the driver to read: the latest of each.

    It is an actor, so that it works through Ray's client too, where tasks cannot stream.
    """

    def __init__(self) -> None:
        self._latest: dict[str, tuple[str, progress.Event]] = {}

    def tell(self, run: str, node: str, event: progress.Event) -> None:
        self._latest[run] = node, event

    def take(self) -> dict[str, tuple[str, progress.Event]]:
        """Returns what was told since the last call: node and event by the run's folder."""
        latest, self._latest = self._latest, {}
        return latest


class UnsharedFolderError(Exception):
    """A node does not see the suite's folder; its message is the node's number in the cluster."""


def probe(token: Token, node: str) -> bool:
    """Returns whether this node sees the token, after writing an answer that the driver must see."""
    if not token.is_seen():
        return False
    with contextlib.suppress(OSError):
        token.answer(node).write_text(token.text)
    return True


def seen(path: Path, text: str) -> bool:
    """Returns whether a file with this text is there, after waiting for a slow file system."""
    end = time.monotonic() + _SECONDS_TO_SHOW
    while True:
        with contextlib.suppress(OSError):
            if path.read_text() == text:
                return True
        if time.monotonic() > end:
            return False
        time.sleep(0.2)


def free_address() -> str:
    """Returns HOST:PORT of this node, on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        return f"{ray.util.get_node_ip_address()}:{listener.getsockname()[1]}"


def train(
    order: process.Order,
    token: Token,
    settings: Mapping[str, str],
    num_cores: int,
    board: Any,
) -> process.Ended:
    """Returns how a process of a run ended, which this node starts and follows.

    Args:
      order: what to start.
      token: by which a node that has joined since is known to share the folder.
      settings: environment variables of the driver.
      num_cores: how many of this node's cores it may use; 0 for all.
      board: a handle of the `Board`, which is told the events; None for a process whose events another one tells.

    Raises:
      UnsharedFolderError: this node does not see the folder.
    """
    node = ray.get_runtime_context().get_node_id()
    if not token.is_seen():
        raise UnsharedFolderError(node)
    environment = {**settings, **os.environ}
    # Ray's own guess at it, which is no setting of the user's.
    environment.pop("OMP_NUM_THREADS", None)
    if "OMP_NUM_THREADS" in settings:
        environment["OMP_NUM_THREADS"] = settings["OMP_NUM_THREADS"]

    def tell(event: progress.Event) -> None:
        if board is not None:
            board.tell.remote(str(order.workdir), node, event)

    tell(progress.Event("starting"))
    # Ray cancels a task by raising KeyboardInterrupt, if Ctrl-C is heard at all: it is ignored wherever a shell put the
    # cluster in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # On SIGTERM, because its node is needed or going away, Ray's workers would end at once: a run gets time to save.
    try:
        with stopping.stopped_by_sigterm(), cores.allotted(num_cores) as mine:
            return _follow(order, environment, mine, tell)
    except stopping.StoppedError:
        return process.Ended(0, told=True)


def _follow(
    order: process.Order,
    environment: Mapping[str, str],
    mine: Collection[int],
    tell: Callable[[progress.Event], None],
) -> process.Ended:
    """Returns how the process ended, after telling its events, at most two a second."""
    last, phase = 0.0, ""
    with contextlib.closing(process.train(order, environment, mine)) as events:
        for event in events:
            if isinstance(event, process.Ended):
                return event
            if event.phase != phase or time.monotonic() - last > _SECONDS_BETWEEN_EVENTS:
                last, phase = time.monotonic(), event.phase
                tell(event)
    raise AssertionError("a process always says how it ended")
