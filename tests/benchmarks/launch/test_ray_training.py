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


def test_twenty_nodes_that_die_at_random_change_no_bit(make_nodes, config, tmp_path):
    seeds = list(range(4))
    config.budget.amount = 3000 * 32.0
    undisturbed = run(config, tmp_path / "undisturbed", model_specs=["tiny"], seeds=seeds)
    nodes = make_nodes(3)
    chance, ended, killed = random.Random(0), threading.Event(), []

    def kill_nodes():
        wait_for_steps(tmp_path / "suite", 1)
        while len(killed) < 20 and not ended.is_set():
            time.sleep(chance.uniform(0.0, 12.0))
            nodes.kill(chance.choice(nodes.nodes))
            killed.append(True)
            nodes.add()

    killer = threading.Thread(target=kill_nodes)
    killer.start()
    launcher = RayLauncher(nodes.address)
    made = run(config, tmp_path / "suite", model_specs=["tiny"], seeds=seeds, launcher=launcher)
    ended.set()
    killer.join()
    assert [record.status for record in made] == ["completed"] * 4
    assert digests(made) == digests(undisturbed)
    assert len(killed) == 20


def suite(workdir, data_dir, address, *arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.suite", f"--workdir={workdir}", "--models=tiny"),
            *("--config=benchmarks/configs/digits.py", "--plugins=tiny_model", *arguments),
            *("--launcher=ray", f"--ray_address={address}"),
        ],
        env=os.environ | {"TFDS_DATA_DIR": data_dir},
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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
    assert len(list(tmp_path.glob("runs/*/checkpoints/*"))) >= 2
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


def losses(workdir) -> list[float]:
    lines = (workdir / "runs" / "tiny-seed0" / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line).get("train/loss") for line in lines]
    return [loss for loss in found if loss is not None]
