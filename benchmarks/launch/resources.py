"""What a run takes of a cluster: which devices, how many, on how many hosts."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.errors import ConfigError

# In words, for one and for many.
_NAMES = {"GPU": ("GPU", "GPUs"), "TPU": ("TPU chip", "TPU chips"), "CPU": ("core", "cores")}


@dataclasses.dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes:
      number: what Ray calls it.
      name: what people are shown.
      devices: how many there are of each kind: CPU, GPU, TPU.
    """

    number: str
    name: str
    devices: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Share:
    """What each process of a run takes of its host.

    Attributes:
      kind: of the devices: GPU, TPU or CPU.
      devices: how many; 0 is all cores of whichever host it is.
      hosts: how many hosts a run is spread over.
    """

    kind: str
    devices: int
    hosts: int

    @property
    def whole_host(self) -> bool:
        """Whether a run takes the host that it is on, however many cores that has."""
        return self.devices == 0

    def bundle(self, nodes: Sequence[Node]) -> dict[str, float]:
        """Returns what Ray sets aside for one process."""
        if self.whole_host:
            return {"CPU": min(node.devices["CPU"] for node in able(nodes, self))}
        return {self.kind: float(self.devices)}

    def slots(self, nodes: Sequence[Node]) -> int:
        """Returns how many runs the nodes can do at once."""
        if self.hosts > 1:
            return max(1, len(able(nodes, self)) // self.hosts)
        if self.whole_host:
            return len(able(nodes, self))
        return sum(int(node.devices.get(self.kind, 0)) // self.devices for node in nodes)


def nodes(listed: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Returns the machines that are there, of those that `ray.nodes()` lists."""
    alive = [each for each in listed if each["Alive"]]
    hosts = [each["NodeManagerHostname"] for each in alive]
    return [
        Node(
            each["NodeID"],
            # Several of a name are told apart, as in a cluster that is simulated on one machine.
            host if hosts.count(host) == 1 else f"{host} {each['NodeID'][:6]}",
            {kind: each["Resources"].get(kind, 0.0) for kind in _NAMES},
        )
        for each, host in zip(alive, hosts, strict=True)
    ]


def able(nodes: Sequence[Node], share: Share) -> list[Node]:
    """Returns the nodes on which a process of a run can be."""
    return [node for node in nodes if node.devices.get(share.kind, 0) >= max(1, share.devices)]


def share(nodes: Sequence[Node], devices: int | None, hosts: int) -> Share:
    """Returns what each process of a run takes.

    Args:
      nodes: of the cluster.
      devices: how many of a host's; None for one GPU, all TPU chips or all cores.
      hosts: how many hosts a run is spread over.

    Raises:
      ConfigError: no run could ever begin.
    """
    kind = next((kind for kind in ("GPU", "TPU") if any(n.devices[kind] for n in nodes)), "CPU")
    if devices is None:
        chips = max((int(node.devices["TPU"]) for node in nodes), default=0)
        devices = {"GPU": 1, "TPU": chips, "CPU": 0}[kind]
    wanted = Share(kind, devices, hosts)
    there = len(able(nodes, wanted))
    if there < hosts:
        what = f"{devices} {_NAMES[kind][devices > 1]}" if devices else "a core"
        raise ConfigError(
            f"each run needs {what} on {hosts} host{'s' if hosts > 1 else ''}, and the cluster has {there} of such"
            " hosts: change --run_devices or --run_hosts, or add hosts to the cluster."
        )
    return wanted
