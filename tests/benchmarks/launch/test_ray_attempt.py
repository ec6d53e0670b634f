"""How the processes of a run on a cluster end together, and what a cluster refuses."""

import pytest

pytest.importorskip("ray", reason="clusters need Ray (the extra [cluster])")

from benchmarks.errors import ConfigError
from benchmarks.launch import ray_cluster, resources
from benchmarks.launch.process import Ended
from benchmarks.launch.ray_attempt import Attempt, LostError
from benchmarks.launch.resources import Node

_NODES = [Node(number, number, {"CPU": 4.0, "GPU": 0.0, "TPU": 0.0}) for number in "ab"]
_WELL, _SAVED, _CRASHED, _TOLD = Ended(0), Ended(75), Ended(1), Ended(0, told=True)


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [
        ([_WELL, _WELL], _WELL),
        ([_SAVED, _SAVED], _SAVED),
        ([_WELL, _SAVED], _SAVED),
        ([_TOLD, _CRASHED], _CRASHED),
        ([_CRASHED, _TOLD], _CRASHED),
        ([_TOLD, _TOLD], _TOLD),
    ],
)
def test_what_ended_the_others_is_the_cause(ends, outcome):
    attempt = Attempt(run=None, started="", ended=dict(enumerate(ends)), hosts=frozenset("ab"))
    assert attempt.outcome(_NODES) == outcome


def test_a_lost_host_explains_whatever_the_others_died_of():
    lost = LostError("its host was lost", with_node=True)
    attempt = Attempt(run=None, started="", ended={0: _CRASHED, 1: lost}, hosts=frozenset("ab"))
    with pytest.raises(LostError):
        attempt.outcome(_NODES)
    attempt = Attempt(run=None, started="", ended={0: _CRASHED, 1: _TOLD}, hosts=frozenset("ab"))
    with pytest.raises(LostError, match="one of its hosts"):
        attempt.outcome(_NODES[:1])


def test_a_budget_of_seconds_refuses_settings_that_share_a_host():
    ray_cluster._check_one_run_a_host(_NODES, resources.share(_NODES, None, 1))
    ray_cluster._check_one_run_a_host(_NODES, resources.share(_NODES, 3, 1))
    with pytest.raises(ConfigError, match="and --run_devices=2 puts several runs on a: leave it"):
        ray_cluster._check_one_run_a_host(_NODES, resources.share(_NODES, 2, 1))
