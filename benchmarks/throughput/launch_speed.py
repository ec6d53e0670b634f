"""What launching adds to runs: a suite of runs that only sleep, one after another and on simulated Ray clusters."""

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.config import resolve
from benchmarks.config.fields import default_config
from benchmarks.launch import stand_in
from benchmarks.launch.display import Display
from benchmarks.launch.launcher import Launcher, launch
from benchmarks.launch.local import LocalLauncher
from benchmarks.runs.plan import Run, prepare_all
from benchmarks.runs.record import now, planned_record
from isobudget.errors import UserError
from results import records

_MODEL = "mobilenet_v1:width=0.25"
_MODULE = stand_in.__name__


@dataclasses.dataclass(frozen=True)
class LaunchSpeed:
    """A suite of runs that sleep.

    Attributes:
      launcher: `local`, or `ray` on a cluster that is simulated on this machine.
      nodes: of the cluster, which does a run on each at a time.
      runs: how many there were.
      seconds_a_run: how long each slept.
      total_seconds: from the first run's start to the last record, without the cluster's own start.
      runs_per_minute: of the whole suite.
      added_seconds: what each run took of its node beyond its sleep, the start of its process included.
    """

    launcher: str
    nodes: int
    runs: int
    seconds_a_run: float
    total_seconds: float
    runs_per_minute: float
    added_seconds: float


def measure(nodes: Sequence[int], runs: int, seconds: float) -> list[LaunchSpeed]:
    """Returns the speed of launching one run after another, and on a cluster of each of these numbers of nodes.

    Args:
      nodes: the clusters' numbers of nodes.
      runs: how many are launched, after one on each node that is not measured.
      seconds: how long each sleeps.

    Raises:
      UserError: Ray is not installed.
    """
    try:
        from ray.cluster_utils import Cluster

        from benchmarks.launch.ray_cluster import RayLauncher
    except ModuleNotFoundError:
        raise UserError(
            "--launch needs Ray, which is not installed: pip install -e '.[cluster]'"
        ) from None
    measured = [_measure("local", 1, LocalLauncher(_MODULE), runs, seconds)]
    for number in nodes:
        head = {"num_cpus": 0, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(number):
                cluster.add_node(num_cpus=1)
            launcher = RayLauncher(cluster.address, module=_MODULE)
            measured.append(_measure("ray", number, launcher, runs, seconds))
        finally:
            cluster.shutdown()
    return measured


def _measure(name: str, nodes: int, launcher: Launcher, runs: int, seconds: float) -> LaunchSpeed:
    with tempfile.TemporaryDirectory() as folder, launcher:
        planned = _plan(Path(folder), nodes + runs, seconds)
        launcher.check(planned, Path(folder))
        with Display(len(planned)) as display:
            # Workers import what they need once, with their first run; a long suite does not notice.
            launch(planned[:nodes], launcher, display)
            began = time.monotonic()
            launch(planned[nodes:], launcher, display)
            total = time.monotonic() - began
    return LaunchSpeed(
        launcher=name,
        nodes=nodes,
        runs=runs,
        seconds_a_run=seconds,
        total_seconds=total,
        runs_per_minute=60 * runs / total,
        added_seconds=total * nodes / runs - seconds,
    )


def _plan(folder: Path, runs: int, seconds: float) -> list[Run]:
    config = default_config()
    config.dataset = "synthetic"
    configs = resolve.for_runs(config, [_MODEL], range(runs))
    planned = prepare_all([(each, folder / "runs" / str(each.seed)) for each in configs])
    for run in planned:
        record = dataclasses.replace(
            planned_record(run, now(), "completed"),
            metrics=records.Metrics(test={"top1": 0.0, "loss": 0.0}),
        )
        records.write(record, run.workdir / stand_in.READY_FILE)
        (run.workdir / stand_in.SECONDS_FILE).write_text(str(seconds))
    return planned
