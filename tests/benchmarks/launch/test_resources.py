"""What a run takes of a cluster's machines."""

import pytest

from benchmarks.errors import ConfigError
from benchmarks.launch import resources
from benchmarks.launch.resources import Node


def node(name, **devices) -> Node:
    return Node(name, name, {"CPU": 8.0, "GPU": 0.0, "TPU": 0.0} | devices)


GPUS = [node("a", GPU=8.0), node("b", GPU=4.0)]
CHIPS = [node("a", TPU=4.0), node("b", TPU=4.0)]
CORES = [node("head", CPU=0.0), node("a", CPU=4.0), node("b", CPU=16.0)]


@pytest.mark.parametrize(
    ("nodes", "devices", "hosts", "bundle", "slots"),
    [
        (GPUS, None, 1, {"GPU": 1}, 12),
        (GPUS, 3, 1, {"GPU": 3}, 3),
        (GPUS, 4, 2, {"GPU": 4}, 1),
        (CHIPS, None, 1, {"TPU": 4}, 2),
        (CHIPS, None, 2, {"TPU": 4}, 1),
        (CORES, None, 1, {"CPU": 4}, 2),  # each the host that it is on, whatever that has
        (CORES, 4, 1, {"CPU": 4}, 5),
        (CORES, None, 2, {"CPU": 4}, 1),
    ],
)
def test_a_run_takes_what_is_usual_of_its_devices_or_what_is_said(
    nodes, devices, hosts, bundle, slots
):
    share = resources.share(nodes, devices, hosts)
    assert share.bundle(nodes) == bundle
    assert share.slots(nodes) == slots


@pytest.mark.parametrize(
    ("nodes", "devices", "hosts", "needs"),
    [
        (GPUS, 9, 1, "9 GPUs on 1 host, and the cluster has 0 of such hosts"),
        (GPUS, 5, 2, "5 GPUs on 2 hosts, and the cluster has 1 of such hosts"),
        (CHIPS, None, 3, "4 TPU chips on 3 hosts, and the cluster has 2"),
        (CORES[:1], None, 1, "a core on 1 host, and the cluster has 0"),
    ],
)
def test_what_no_host_has_is_refused(nodes, devices, hosts, needs):
    with pytest.raises(ConfigError, match=f"each run needs {needs}"):
        resources.share(nodes, devices, hosts)


def test_nodes_that_are_gone_are_left_out_and_those_of_one_name_told_apart():
    listed = [
        {"NodeID": "abcdef01", "Alive": True, "NodeManagerHostname": "vm", "Resources": {"CPU": 2}},
        {"NodeID": "bcdef012", "Alive": True, "NodeManagerHostname": "vm", "Resources": {"GPU": 1}},
        {"NodeID": "cdef0123", "Alive": True, "NodeManagerHostname": "w", "Resources": {"TPU": 4}},
        {"NodeID": "def01234", "Alive": False, "NodeManagerHostname": "x", "Resources": {"CPU": 2}},
    ]
    nodes = resources.nodes(listed)
    assert [node.name for node in nodes] == ["vm abcdef", "vm bcdef0", "w"]
    assert [node.devices["CPU"] for node in nodes] == [2, 0, 0]
