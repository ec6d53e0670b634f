"""One attempt at a run on a cluster: its processes, on a host each, and how they ended together."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import (
    NodeDiedError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    TaskCancelledError,
    TaskUnschedulableError,
)
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

from benchmarks.launch import ray_tasks
from benchmarks.launch.process import Ended, Order
from benchmarks.launch.resources import Node, Share
from benchmarks.machine.preemption import AGAIN_STATUS
from benchmarks.runs.folder import LOG_FILE
from benchmarks.runs.plan import Run


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What every attempt needs to know.

    Attributes:
      share: what each process takes of its host.
      token: by which nodes tell that they share the folder.
      settings: the driver's environment variables that hold on every node.
      board: a handle of the actor `ray_tasks.Board`, which is told the events.
      module: what each process runs, see `process.Order`.
    """

    share: Share
    token: ray_tasks.Token
    settings: Mapping[str, str]
    board: Any
    module: str


class LostError(Exception):
    """A host or one of Ray's workers was lost, and the run with it; the message says how.

    Attributes:
      with_node: whether it was the host.
    """

    def __init__(self, how: str, with_node: bool = False):
        super().__init__(how)
        self.with_node = with_node


@dataclasses.dataclass(eq=False)
class Attempt:
    """A run that was handed to the cluster.

    Attributes:
      run: which.
      started: when, as a record has it.
      node: the one host that it takes whole; None if Ray chooses.
      group: the place on several hosts that it is spread over.
      hosts: what Ray calls these.
      waits_for: what must be there before its processes are handed over.
      processes: what Ray will say of each process.
      ended: how those ended that have, by their number.
    """

    run: Run
    started: str
    node: Node | None = None
    group: PlacementGroup | None = None
    hosts: frozenset[str] = frozenset()
    waits_for: "ray.ObjectRef | None" = None
    processes: "list[ray.ObjectRef]" = dataclasses.field(default_factory=list)
    ended: dict[int, Ended | LostError] = dataclasses.field(default_factory=dict)
    _is_given_up: bool = False

    @property
    def awaited(self) -> "list[ray.ObjectRef]":
        """What Ray has not said yet."""
        if self.waits_for is not None:
            return [self.waits_for]
        return [ref for i, ref in enumerate(self.processes) if i not in self.ended]

    def submit(self, cluster: Cluster, nodes: Sequence[Node]) -> None:
        """Hands the run to the cluster, which begins it when its devices are free."""
        share = cluster.share
        bundle = share.bundle(nodes)
        if share.hosts > 1:
            self.group = placement_group([bundle] * share.hosts, strategy="STRICT_SPREAD")
            self.waits_for = self.group.ready()
        elif self.node:
            # All its cores, so that nothing else of the cluster's is put there.
            strategy = NodeAffinitySchedulingStrategy(self.node.number, soft=False)
            self._start(cluster, [()], {"CPU": self.node.devices["CPU"]}, [strategy])
        else:
            self._start(cluster, [()], bundle, ["SPREAD"])

    def go_on(self, cluster: Cluster, nodes: Sequence[Node], ref: "ray.ObjectRef") -> bool:
        """Takes what Ray has said; returns whether the attempt is over.

        Raises:
          UnsharedFolderError: a node does not see the suite's folder.
        """
        if self.group and ref == self.waits_for:
            self._take_hosts(self.group, cluster, nodes)
            return not self.awaited
        said = _said(ref)
        if self._is_given_up and isinstance(said, LostError) and not said.with_node:
            said = Ended(0, told=True)
        self.ended[self.processes.index(ref)] = said
        if _is_failure(said) and self.awaited:
            # The others wait for it in vain, and may never hear that they are to save and stop.
            self._is_given_up = True
            self.cancel(force=True)
        return not self.awaited

    @property
    def is_doubtful(self) -> bool:
        """Whether it may be the loss of a host, which Ray has not noticed, that made another process fail."""
        ends = self.ended.values()
        is_lost = any(isinstance(end, LostError) for end in ends)
        return bool(self.hosts) and not is_lost and any(map(_is_failure, ends))

    def outcome(self, nodes: Sequence[Node]) -> Ended:
        """Returns how the run ended: as its first process, unless another one ended it.

        Args:
          nodes: those that are there.

        Raises:
          LostError: a host was lost, whatever that made of the other processes.
        """
        ends = [self.ended[number] for number in sorted(self.ended)]
        for end in ends:
            if isinstance(end, LostError):
                raise end
        known = [end for end in ends if isinstance(end, Ended)]
        # What ended the others is the cause, and not that they were then told to stop.
        faults = [end for end in known if _is_failure(end)]
        told = [end for end in known if end.told or end.status == AGAIN_STATUS]
        if faults and not self.hosts <= {node.number for node in nodes}:
            raise LostError("one of its hosts was lost", with_node=True)
        return (faults or told or known)[0]

    def cancel(self, force: bool = False) -> None:
        """Tells what is left of its processes to save and stop; by force, ends them."""
        for ref in self.awaited:
            with contextlib.suppress(RayError):
                ray.cancel(ref, force=force)

    def release(self) -> None:
        """Gives the hosts that it was spread over back."""
        if self.group is not None:
            with contextlib.suppress(RayError):
                remove_placement_group(self.group)

    def _take_hosts(self, group: PlacementGroup, cluster: Cluster, nodes: Sequence[Node]) -> None:
        """Starts a process on each host, which join at an address that is free on the first one's."""
        self.waits_for = None
        hosts = cluster.share.hosts
        self.hosts = frozenset(placement_group_table(group)["bundles_to_node_id"].values())
        places = [
            PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index)
            for index in range(hosts)
        ]
        ask = ray.remote(ray_tasks.free_address).options(
            num_cpus=0, max_retries=0, scheduling_strategy=places[0]
        )
        try:
            address = ray.get(ask.remote())
        except RayError as error:
            self.ended[0] = LostError(f"a host was lost ({type(error).__name__})")
            return
        flags = [
            (f"--coordinator={address}", f"--processes={hosts}", f"--process={index}")
            for index in range(hosts)
        ]
        self._start(cluster, flags, cluster.share.bundle(nodes), places)

    def _start(
        self,
        cluster: Cluster,
        flags: Sequence[tuple[str, ...]],
        bundle: Mapping[str, float],
        strategies: Sequence[object],
    ) -> None:
        share = cluster.share
        num_cores = share.devices if share.kind == "CPU" else 0
        others = {k: v for k, v in bundle.items() if k not in ("CPU", "GPU")}
        train = ray.remote(ray_tasks.train)
        for number, (each, strategy) in enumerate(zip(flags, strategies, strict=True)):
            log = LOG_FILE if number == 0 else f"log-process{number}.txt"
            task = train.options(
                name=self.run.title,
                num_cpus=bundle.get("CPU", 0),
                num_gpus=bundle.get("GPU", 0),
                resources=others,
                scheduling_strategy=strategy,
                max_retries=0,  # here it is known what may be done again
            )
            board = cluster.board if number == 0 else None
            order = Order(self.run.workdir.absolute(), each, log, cluster.module)
            self.processes.append(
                task.remote(order, cluster.token, dict(cluster.settings), num_cores, board)
            )


def _said(ref: "ray.ObjectRef") -> Ended | LostError:
    """Returns how a process ended, or that it was lost with its host.

    Raises:
      UnsharedFolderError: its node does not see the suite's folder.
    """
    try:
        return ray.get(ref)
    except TaskCancelledError:
        return Ended(0, told=True)
    except OutOfMemoryError:
        return Ended(0, out_of_memory=True)
    except ray_tasks.UnsharedFolderError:
        raise
    except RayTaskError as error:
        return LostError(f"its worker failed ({str(error).strip().splitlines()[-1][:200]})")
    except (NodeDiedError, TaskUnschedulableError) as error:
        return LostError(f"its host was lost ({type(error).__name__})", with_node=True)
    except RayError as error:
        return LostError(f"its worker was lost ({type(error).__name__})")


def _is_failure(end: Ended | LostError) -> bool:
    """Returns whether a process was lost or failed; one that saved its state as it was told has not."""
    if isinstance(end, LostError):
        return True
    return end.out_of_memory or end.status not in (0, AGAIN_STATUS)
