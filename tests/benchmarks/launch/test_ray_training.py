"""Real trainings on a Ray cluster end with the same bits as undisturbed ones, whatever becomes of its machines."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="clusters need Ray (the extra [cluster])")

from benchmarks.launch.ray_cluster import RayLauncher
from benchmarks.suite.run import run
from results import records

pytestmark = pytest.mark.slow
_ROOT = Path(__file__).parents[3]


@pytest.fixture
def config(config):
    """Three hundred steps with a checkpoint at each twentieth."""
    config.budget.amount = 300 * 32.0
    config.checkpoint_every_steps = 20
    return config


def wait_for_steps(workdir, number) -> None:
    """Waits until some run has logged so many lines."""
    while True:
        for path in workdir.glob("runs/*/metrics.jsonl"):
            if path.read_text().count("\n") >= number:
                return
        time.sleep(0.05)


def digests(made) -> dict[str, str]:
    return {record.run_id: record.weights_digest for record in made}


def test_a_node_removed_in_the_middle_of_a_run_changes_no_bit(make_nodes, config, tmp_path):
    seeds = [0, 1, 2]
    undisturbed = run(config, tmp_path / "undisturbed", model_specs=["tiny"], seeds=seeds)
    nodes = make_nodes(3)

    def kill_a_node():
        wait_for_steps(tmp_path / "suite", 15)
        nodes.kill(nodes.nodes[0])

    killer = threading.Thread(target=kill_a_node)
    killer.start()
    launcher = RayLauncher(nodes.address)
    made = run(config, tmp_path / "suite", model_specs=["tiny"], seeds=seeds, launcher=launcher)
    killer.join()
    assert [record.status for record in made] == ["completed"] * 3
    assert digests(made) == digests(undisturbed)


def suite(workdir, data_dir, address, *arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.suite", f"--workdir={workdir}", "--models=tiny"),
            *("--config=benchmarks/configs/digits.py", "--plugins=tiny_model", *arguments),
            *(("--launcher=ray", f"--ray_address={address}") if address else ()),
        ],
        env=os.environ | {"TFDS_DATA_DIR": data_dir},
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_twenty_nodes_that_die_at_random_change_no_bit(make_nodes, data_dir, tmp_path):
    arguments = (
        *("--seeds=0,1,2,3", "--config.budget.amount=32000", "--config.log_every_steps=10"),
        *("--config.checkpoint_every_steps=20",),
    )
    workdirs = tmp_path / "undisturbed", tmp_path / "disturbed"
    undisturbed = suite(workdirs[0], data_dir, None, *arguments)
    output = undisturbed.communicate(timeout=900)
    assert undisturbed.returncode == 0, output
    nodes = make_nodes(3)
    disturbed = suite(workdirs[1], data_dir, nodes.address, *arguments)
    wait_for_steps(workdirs[1], 1)
    chance = random.Random(0)
    for _ in range(20):
        time.sleep(chance.uniform(0.0, 8.0))
        assert disturbed.poll() is None, "the suite was over before the twentieth death"
        nodes.kill(chance.choice(nodes.nodes))
        nodes.add()
    output = disturbed.communicate(timeout=900)
    assert disturbed.returncode == 0, output
    made = [
        [records.read(path) for path in sorted(workdir.glob("runs/*/record.json"))]
        for workdir in workdirs
    ]
    assert [record.status for record in made[1]] == ["completed"] * 4
    assert digests(made[1]) == digests(made[0])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_driver_that_ends_leaves_no_run_behind_and_the_same_command_goes_on(
    make_nodes, data_dir, tmp_path, how
):
    nodes = make_nodes(2)
    arguments = (
        *("--seeds=0,1", "--config.budget.amount=32000", "--config.log_every_steps=1"),
        *("--config.checkpoint_every_steps=20",),
    )
    first = suite(tmp_path, data_dir, nodes.address, *arguments)
    wait_for_steps(tmp_path, 30)
    first.send_signal(how)
    output = first.communicate(timeout=120)
    assert first.returncode == (75 if how == signal.SIGTERM else -9), output
    time.sleep(5.0)
    curves = {path: path.stat().st_size for path in tmp_path.glob("runs/*/metrics.jsonl")}
    time.sleep(2.0)
    assert curves == {path: path.stat().st_size for path in curves}, "a run outlives its driver"
    assert not list(tmp_path.glob("runs/*/record.json"))
    if how == signal.SIGTERM:
        assert len(list(tmp_path.glob("runs/*/checkpoints"))) == 2
    again = suite(tmp_path, data_dir, nodes.address, *arguments)
    output = again.communicate(timeout=300)
    assert again.returncode == 0, output
    for path in tmp_path.glob("runs/*/record.json"):
        assert records.read(path).status == "completed"
        assert path.with_name("log.txt").read_text().count(": test ") == 1


def test_a_run_over_two_hosts_learns_what_one_process_does(make_nodes, config, tmp_path):
    config.budget.amount = 20 * 32.0
    config.log_every_steps = 1
    nodes = make_nodes(2)
    options = {"model_specs": ["tiny"], "seeds": [0]}
    (alone,) = run(config, tmp_path / "alone", **options)
    launcher = RayLauncher(nodes.address, run_hosts=2)
    (both,) = run(config, tmp_path / "both", launcher=launcher, **options)
    assert (both.status, both.hardware["process_count"]) == ("completed", 2)
    assert losses(tmp_path / "both") == pytest.approx(losses(tmp_path / "alone"), rel=1e-5)
    assert both.metrics.test["top1"] == alone.metrics.test["top1"]


def test_a_run_over_two_hosts_that_loses_one_goes_on_with_another(make_nodes, config, tmp_path):
    config.budget.amount = 1000 * 32.0
    nodes = make_nodes(3)
    options = {"model_specs": ["tiny"], "seeds": [0]}
    launcher = RayLauncher(nodes.address, run_hosts=2)
    undisturbed = run(config, tmp_path / "undisturbed", launcher=launcher, **options)

    def kill_a_host():
        wait_for_steps(tmp_path / "disturbed", 30)
        # Whichever two of the three it has, two nodes are left, of which one had the run.
        busy = [node for node in nodes.nodes if node.node_id in hosts_of_groups()]
        nodes.kill(busy[-1])

    killer = threading.Thread(target=kill_a_host)
    killer.start()
    launcher = RayLauncher(nodes.address, run_hosts=2)
    disturbed = run(config, tmp_path / "disturbed", launcher=launcher, **options)
    killer.join()
    (both,) = disturbed
    assert (both.status, both.hardware["process_count"]) == ("completed", 2)
    assert both.budget.steps == 1000
    assert digests(disturbed) == digests(undisturbed)


def hosts_of_groups() -> set[str]:
    from ray.util.placement_group import placement_group_table

    groups = placement_group_table().values()
    return {node for group in groups for node in group["bundles_to_node_id"].values()}


def losses(workdir) -> list[float]:
    lines = (workdir / "runs" / "tiny-seed0" / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line).get("train/loss") for line in lines]
    return [loss for loss in found if loss is not None]
