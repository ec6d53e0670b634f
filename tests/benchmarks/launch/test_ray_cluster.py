"""Runs on a real Ray cluster, whose nodes are simulated on this machine."""

import contextlib
import json
import os
import signal
import threading
import time

import psutil
import pytest

pytest.importorskip("ray", reason="clusters need Ray (the extra [cluster])")

from benchmarks.errors import ConfigError
from benchmarks.launch import ray_tasks
from benchmarks.launch.display import Display
from benchmarks.launch.ray_cluster import RayLauncher


def test_a_suite_of_six_runs_survives_its_faults_and_the_loss_of_a_node(
    make_nodes, stand_ins, launched, starts, tmp_path, capfd
):
    nodes = make_nodes(3)
    long = ("tiny:width=30", "tiny:width=31", "tiny:width=32")
    runs = stand_ins(*long, "tiny:fault=killed", "tiny:fault=raises", "tiny")

    def kill_a_node():
        while len(list(tmp_path.glob("runs/*/started.txt"))) < 3:
            time.sleep(0.05)
        nodes.kill(nodes.nodes[0])

    killer = threading.Thread(target=kill_a_node)
    killer.start()
    ended = []
    launcher = RayLauncher(nodes.address, module="stand_in")
    made = launched(launcher, runs, when_one_ends=lambda: ended.append(True))
    killer.join()
    status = [record.status for record in made]
    assert status == ["completed", "completed", "completed", "crashed", "crashed", "completed"]
    assert made[3].error == "The process ended by signal 9; see 3/log.txt."
    assert made[4].error == "The process ended with exit status 3; see 4/log.txt."
    # The run that was on that node began again, and no other did.
    assert sorted(len(starts(run)) for run in runs[:3]) == [1, 1, 2]
    assert [len(starts(run)) for run in runs[3:]] == [1, 1, 1]
    assert len(ended) == 6
    told = capfd.readouterr().err
    assert "its host was lost (NodeDiedError); it goes on from its last checkpoint" in told
    assert "[6/6]" in told
    assert not list(tmp_path.glob(".probe-*"))


@pytest.mark.slow
def test_a_run_over_two_hosts_is_one_process_on_each_and_the_first_writes_the_record(
    make_nodes, stand_ins, launched, starts
):
    nodes = make_nodes(2)
    (run,) = stand_ins("tiny:width=2")
    launched(RayLauncher(nodes.address, run_hosts=2, module="stand_in"), [run])
    assert sorted(line.split()[:2] for line in starts(run)) == [["0", "2"], ["1", "2"]]


@pytest.mark.slow
def test_each_run_sees_gpus_of_its_own(make_nodes, stand_ins, launched):
    nodes = make_nodes(0)
    nodes.add(num_cpus=8, num_gpus=8)  # Ray takes our word for it
    runs = stand_ins("tiny:width=30", seeds=range(4))
    launched(RayLauncher(nodes.address, run_devices=2, module="stand_in"), runs)
    seen = [json.loads((run.workdir / "devices.json").read_text())[0] for run in runs]
    assert sorted(",".join(seen).split(",")) == [str(number) for number in range(8)]


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_runs_that_share_a_cpu_keep_to_cores_of_their_own(
    make_nodes, stand_ins, launched, tmp_path, monkeypatch
):
    # Where the cores are booked: other suites of this machine's have theirs.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    nodes = make_nodes(0)
    nodes.add(num_cpus=2)
    runs = stand_ins("tiny:width=30", seeds=range(2))
    launched(RayLauncher(nodes.address, run_devices=1, module="stand_in"), runs)
    (first,), (second,) = (
        json.loads((run.workdir / "devices.json").read_text())[1] for run in runs
    )
    assert first != second


@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_saves_its_run_which_begins_again(
    make_nodes, stand_ins, launched, starts
):
    nodes = make_nodes(1)
    (run,) = stand_ins("tiny:width=30")

    def tell():
        while not (run.workdir / "started.txt").exists():
            time.sleep(0.05)
        process = psutil.Process(int(starts(run)[0].split()[2]))
        process.parent().terminate()

    threading.Thread(target=tell).start()
    (record,) = launched(RayLauncher(nodes.address, module="stand_in"), [run])
    assert record.status == "completed"
    assert (run.workdir / "saved.txt").exists()
    assert len(starts(run)) == 2


@pytest.mark.slow
def test_a_cluster_that_a_shell_put_in_the_background_is_told_to_stop_too(
    make_nodes, stand_ins, starts, tmp_path
):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of `command &`, and inherited
    try:
        nodes = make_nodes(2)
    finally:
        signal.signal(signal.SIGINT, before)
    long, short = stand_ins("tiny:width=3000", "tiny")
    with RayLauncher(nodes.address, module="stand_in") as launcher, Display(2) as display:
        launcher.check([long, short], tmp_path)
        with contextlib.closing(launcher.train([long, short], display, lambda: None)) as ending:
            next(ending)
            while not (long.workdir / "started.txt").exists():
                time.sleep(0.05)
    assert (long.workdir / "saved.txt").exists()
    assert len(starts(long)) == 1


@pytest.mark.slow
def test_a_run_that_rays_memory_monitor_ends_is_out_of_memory(make_nodes, stand_ins, launched):
    memory = psutil.virtual_memory()
    threshold = 1 - (memory.available - 2**31) / memory.total  # two gigabytes more than is used now
    nodes = make_nodes(1, memory_usage_threshold=threshold, memory_monitor_refresh_ms=100)
    (run,) = stand_ins("tiny:width=300")
    used, is_over = [], threading.Event()

    def use_memory():
        while not (run.workdir / "started.txt").exists():
            time.sleep(0.05)
        while not is_over.wait(0.1) and len(used) < 32:
            used.append(b"x" * 2**27)

    threading.Thread(target=use_memory).start()
    try:
        (record,) = launched(RayLauncher(nodes.address, module="stand_in"), [run])
    finally:
        is_over.set()
        used.clear()
    assert record.status == "out_of_memory"
    assert record.error == "The machine ran out of memory and ended it; see 0/log.txt."


@pytest.mark.slow
def test_a_folder_that_a_node_does_not_see_is_one_sentence(
    make_nodes, stand_ins, launched, monkeypatch, tmp_path
):
    nodes = make_nodes(1)
    runs = stand_ins("tiny")
    monkeypatch.setattr(ray_tasks, "_SECONDS_TO_SHOW", 0.0)
    monkeypatch.setattr(ray_tasks.Token, "answer", lambda *_: tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=f"does not share {tmp_path} with this machine: choose"):
        launched(RayLauncher(nodes.address, module="stand_in"), runs)
    assert not list(tmp_path.glob("runs/*/started.txt"))


def test_a_cluster_that_is_not_there_is_one_sentence(stand_ins, launched):
    launcher = RayLauncher("ray://localhost:1", module="stand_in")
    with pytest.raises(ConfigError, match="there is no Ray cluster at --ray_address=ray://local"):
        launched(launcher, [])
