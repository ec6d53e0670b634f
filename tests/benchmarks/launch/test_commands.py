"""Suites as a user starts them: side by side on one folder, killed, told to stop."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.errors import ConfigError
from benchmarks.launch import folder_lock
from benchmarks.launch.shards import Shard
from benchmarks.machine import neighbors
from results import records

_ROOT = Path(__file__).parents[3]


def suite(workdir, data_dir, *arguments) -> subprocess.Popen:
    """Starts a suite in a process of its own."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.suite", f"--workdir={workdir}"),
            *("--config=benchmarks/configs/digits.py", "--plugins=tiny_model", *arguments),
        ],
        env=os.environ | {"TFDS_DATA_DIR": data_dir},
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def times_trained(workdir) -> dict[str, int]:
    """Returns how often each run was trained to its end: each time leaves a line in its log."""
    logs = workdir.glob("runs/*/log.txt")
    return {log.parent.name: log.read_text().count(": test ") for log in logs}


def begin(workdir, data_dir, *arguments) -> tuple[subprocess.Popen, Path]:
    """Starts a suite of one run; returns it, and the run's folder, when it has trained a step."""
    process = suite(workdir, data_dir, *arguments)
    metrics = workdir / "runs" / "tiny-seed0" / "metrics.jsonl"
    while not metrics.exists() or not metrics.stat().st_size:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process, metrics.parent


def assert_busy(workdir, shard) -> None:
    with (
        pytest.raises(ConfigError, match=f"another command is at work in {workdir}"),
        folder_lock.held(workdir, shard),
    ):
        pass


def test_shards_of_one_division_alone_share_a_folder(tmp_path):
    with folder_lock.held(tmp_path, Shard(0, 2)), folder_lock.held(tmp_path, Shard(1, 2)):
        for other in (Shard(0, 2), Shard(2, 3), None):
            assert_busy(tmp_path, other)
    with folder_lock.held(tmp_path):
        assert_busy(tmp_path, Shard(0, 2))
        assert_busy(tmp_path, None)
    with folder_lock.held(tmp_path, Shard(2, 3)):
        pass


def test_a_folder_that_cannot_be_locked_is_one_sentence(tmp_path, monkeypatch):
    def no_locks(*_, **__):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(folder_lock.filelock.FileLock, "acquire", no_locks)
    with (
        pytest.raises(ConfigError, match=f"the file system of {tmp_path} lets no file be locked"),
        folder_lock.held(tmp_path),
    ):
        pass


def test_two_shards_side_by_side_do_every_run_once_and_both_write_the_tables(data_dir, tmp_path):
    arguments = ("--models=tiny", "--seeds=0,1,2", "--config.budget.amount=384")
    commands = [suite(tmp_path, data_dir, *arguments, f"--shard={i}/2") for i in range(2)]
    outputs = [each.communicate(timeout=300) for each in commands]
    assert [each.returncode for each in commands] == [0, 0], outputs
    assert times_trained(tmp_path) == {"tiny-seed0": 1, "tiny-seed1": 1, "tiny-seed2": 1}
    assert "tiny-seed0 tiny-seed1 tiny-seed2" in (tmp_path / "leaderboard.csv").read_text()


def test_a_killed_suite_leaves_no_run_behind_and_the_same_command_goes_on(data_dir, tmp_path):
    arguments = ("--models=tiny", "--config.budget.amount=9600", "--config.log_every_steps=1")
    first, run = begin(tmp_path, data_dir, *arguments)
    first.kill()
    first.communicate()
    time.sleep(1.5)
    written = (run / "metrics.jsonl").stat().st_size
    time.sleep(1.0)
    assert (run / "metrics.jsonl").stat().st_size == written, "the run outlives its suite"
    assert not (run / "record.json").exists()
    again = suite(tmp_path, data_dir, *arguments)
    output = again.communicate(timeout=300)
    assert again.returncode == 0, output
    assert times_trained(tmp_path) == {"tiny-seed0": 1}
    assert records.read(run / "record.json").budget.steps == 300


def test_a_suite_keeps_others_out_until_it_is_told_to_stop_and_has_saved_its_run(
    data_dir, tmp_path
):
    arguments = ("--models=tiny", "--config.budget.amount=1e9", "--config.log_every_steps=1")
    process, run = begin(tmp_path, data_dir, *arguments)
    other = suite(tmp_path, data_dir, *arguments)
    _, errors = other.communicate(timeout=300)
    assert (other.returncode, errors.count("\n")) == (2, 1), errors
    assert f"another command is at work in {tmp_path}" in errors
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 75, errors
    assert errors.splitlines()[-1] == "told to stop; run the same command again to go on"
    assert list((run / "checkpoints").iterdir())
    assert not (run / "record.json").exists()
    with folder_lock.held(tmp_path):
        pass


def test_a_suite_of_seconds_stops_where_another_run_has_the_cpu(
    command_here, tmp_path, monkeypatch
):
    host = tmp_path / "host"
    host.mkdir()
    monkeypatch.setenv(neighbors.FOLDER_VARIABLE, str(host))
    entry = {"run": "/elsewhere", "created": psutil.Process().create_time()}
    (host / str(os.getpid())).write_text(json.dumps(entry))
    done = command_here(
        *("benchmarks.suite", "--config=benchmarks/configs/digits.py", "--models=tiny"),
        *(f"--workdir={tmp_path / 'suite'}", "--config.budget.kind=seconds"),
        "--config.budget.amount=1",
    )
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith("error: a budget of seconds needs a CPU for itself, and /elsewhere is")
    assert not list(tmp_path.glob("suite/runs/*/record.json"))
