"""A real Ray cluster on this machine, and runs whose training is stood in for."""

import dataclasses
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from benchmarks.config import resolve
from benchmarks.launch.display import Display
from benchmarks.launch.launcher import launch
from benchmarks.runs.plan import prepare_all
from benchmarks.runs.record import now, planned_record
from results import records


class Nodes:
    """A cluster of simulated nodes of one CPU each, and a head that does no runs."""

    def __init__(self, number: int, **settings: object):
        from ray.cluster_utils import Cluster

        # Sockets' paths have a length limit.
        self.folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
        os.environ["RAY_TMPDIR"] = self.folder
        head = {"num_cpus": 0, "include_dashboard": False}
        if settings:
            head["_system_config"] = settings
        self.cluster = Cluster(initialize_head=True, head_node_args=self._small(head))
        self.nodes = []
        for _ in range(number):
            self.add()

    @property
    def address(self) -> str:
        return self.cluster.address

    def add(self, **devices: int) -> None:
        """Adds a node of one CPU, or with these devices."""
        self.nodes.append(self.cluster.add_node(**self._small({"num_cpus": 1} | devices)))

    def kill(self, node) -> None:
        """Removes a node as a power cut would."""
        self.nodes.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        self.cluster.shutdown()
        del os.environ["RAY_TMPDIR"]
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _small(arguments: dict) -> dict:
        return {"object_store_memory": 80 * 2**20, **arguments}


@pytest.fixture
def make_nodes():
    """Starts a cluster with so many nodes, and with settings of Ray's own."""
    pytest.importorskip("ray", reason="clusters need Ray (the extra [cluster])")
    started = []

    def make(number: int, **settings: object) -> Nodes:
        started.append(Nodes(number, **settings))
        return started[-1]

    yield make
    for nodes in started:
        nodes.shutdown()


@pytest.fixture
def stand_ins(config, tmp_path):
    """Plans runs of these models and seeds, each with a record that its stand-in will leave."""

    def plan(*specs: str, seeds=(0,)):
        requests = []
        for number, (spec, seed) in enumerate((spec, seed) for spec in specs for seed in seeds):
            requests.append((resolve.for_run(config, spec, seed), tmp_path / "runs" / str(number)))
        runs = prepare_all(requests)
        for run in runs:
            record = dataclasses.replace(
                planned_record(run, now(), "completed"),
                metrics=records.Metrics(test={"top1": 0.5, "loss": 1.0}),
            )
            records.write(record, run.workdir / "ready.json")
        return runs

    return plan


@pytest.fixture
def launched(tmp_path):
    """Gets runs done by a launcher, and returns their records in order."""

    def work(launcher, runs, **hooks):
        with launcher:
            launcher.check(runs, tmp_path)
            with Display(len(runs)) as display:
                made = launch(runs, launcher, display, **hooks)
        return [made[run.workdir] for run in runs]

    return work


@pytest.fixture
def starts():
    """Returns a line for each process that was started for a run: its number, of how many, and its process id."""
    return lambda run: Path(run.workdir, "started.txt").read_text().splitlines()
