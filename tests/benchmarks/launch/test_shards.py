"""Workers on one folder: who does which run, and what is left when one of them dies."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.errors import ConfigError
from benchmarks.launch import locks, shards
from benchmarks.suite.run import run
from results import records

_ROOT = Path(__file__).parents[3]

# What a process does that wants a lock: says whether it got it, and keeps it until it is told to end.
_WANTS_A_LOCK = """
import sys
from pathlib import Path
from benchmarks.launch import locks
print("ready", flush=True)
for line in sys.stdin:
    lock = locks.acquire(Path(line.strip()))
    if lock:
        lock.__enter__()
    print("mine" if lock else "not mine", flush=True)
"""


def worker(workdir, data_dir, *arguments) -> subprocess.Popen:
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


def age(path, seconds) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_shards_cover_every_run_once():
    items = list("abcdefg")
    parts = [shards.Shard(index, 3).divide(items) for index in range(3)]
    assert [mine for mine, _ in parts] == [list("adg"), list("be"), list("cf")]
    assert all(sorted(mine + others) == items for mine, others in parts)


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "a/b", "0/0", "1/2/3"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="--shard is i/n"):
        shards.parse(text)


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        ({}, (0, 1)),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}, (3, 8)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "14",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "10",
                "SLURM_ARRAY_TASK_STEP": "2",
            },
            (2, 4),
        ),
        (
            {
                "SLURM_ARRAY_TASK_ID": "5",
                "SLURM_ARRAY_TASK_COUNT": "1",
                "SLURM_ARRAY_TASK_MIN": "5",
                "ISOBUDGET_SHARDS": "8",
            },
            (5, 8),
        ),
        ({"JOB_COMPLETION_INDEX": "1", "ISOBUDGET_SHARDS": "2"}, (1, 2)),
        ({"JOB_COMPLETION_INDEX": "1", "JOB_COMPLETION_COUNT": "3"}, (1, 3)),
        ({"JOB_COMPLETION_INDEX": "1"}, (0, 1)),
    ],
)
def test_schedulers_say_the_shard(environment, shard):
    assert shards.from_environment(environment) == shards.Shard(*shard)


@pytest.mark.parametrize("variables", [{"SLURM_ARRAY_TASK_ID": "7"}, {"SLURM_ARRAY_TASK_ID": "x"}])
def test_an_environment_that_makes_no_shard_is_refused(variables):
    with pytest.raises(ConfigError, match="SLURM_ARRAY_TASK_ID"):
        shards.from_environment(variables | {"SLURM_ARRAY_TASK_COUNT": "2"})


def test_a_lock_is_one_workers_until_it_lets_go(tmp_path):
    with locks.acquire(tmp_path):
        assert locks.acquire(tmp_path) is None
    with locks.acquire(tmp_path) as again:
        assert again
    locks.clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_another_machine_is_stale_without_heartbeat(tmp_path):
    path = tmp_path / "lock-1.json"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "machine": "elsewhere"}))
    age(path, locks.STALE_SECONDS - 5)
    assert locks.acquire(tmp_path) is None
    age(path, 10)
    assert locks.acquire(tmp_path)


def test_a_lock_that_was_never_written_out_is_stale_with_time(tmp_path):
    path = tmp_path / "lock-1.json"
    path.touch()
    assert locks.acquire(tmp_path) is None
    age(path, locks.STALE_SECONDS + 5)
    assert locks.acquire(tmp_path)


def test_a_holder_keeps_its_lock_fresh_and_hears_when_it_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "HEARTBEAT_SECONDS", 0.05)
    heard = []
    with locks.acquire(tmp_path) as lock:
        lock.on_lost = lambda: heard.append("lost")
        path = tmp_path / "lock-1.json"
        age(path, 1000)
        time.sleep(0.5)
        assert locks.now(tmp_path) - path.stat().st_mtime < 100
        assert not lock.lost
        (tmp_path / "lock-2.json").touch()
        time.sleep(0.5)
        assert lock.lost
    assert heard == ["lost"]


def test_of_many_processes_one_alone_succeeds_to_a_stale_lock(tmp_path):
    wanting = [
        subprocess.Popen(
            [sys.executable, "-c", _WANTS_A_LOCK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )
        for _ in range(4)
    ]
    assert all(each.stdout.readline() == "ready\n" for each in wanting)
    for number in range(50):
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / "lock-1.json").write_text('{"machine": "elsewhere", "pid": 1}')
        age(directory / "lock-1.json", 1000)
        for each in wanting:
            each.stdin.write(f"{directory}\n")
            each.stdin.flush()
        answers = [each.stdout.readline() for each in wanting]
        assert answers.count("mine\n") == 1, answers
    for each in wanting:
        each.stdin.close()
        assert each.wait(timeout=60) == 0


@pytest.mark.parametrize(
    "flags",
    [
        ("--shard=0/2", "--shard=1/2"),
        pytest.param(("--shard=0/1", "--shard=0/1"), marks=pytest.mark.slow),
    ],
)
def test_two_workers_never_do_a_run_twice(flags, data_dir, tmp_path):
    # Of three runs, the last is begun by one worker while the other has nothing else to do.
    arguments = ("--models=tiny", "--seeds=0,1,2", "--config.budget.amount=384")
    workers = [worker(tmp_path, data_dir, *arguments, flag) for flag in flags]
    outputs = [each.communicate(timeout=300) for each in workers]
    assert [each.returncode for each in workers] == [0, 0], outputs
    assert times_trained(tmp_path) == {"tiny-seed0": 1, "tiny-seed1": 1, "tiny-seed2": 1}
    table = (tmp_path / "leaderboard.csv").read_text()
    assert "tiny-seed0 tiny-seed1 tiny-seed2" in table
    assert not list(tmp_path.glob("runs/*/lock-*"))


def begin(workdir, data_dir, *arguments) -> tuple[subprocess.Popen, Path]:
    """Starts a suite of one run; returns it, and the run's folder, when it has trained a step."""
    process = worker(workdir, data_dir, *arguments)
    metrics = workdir / "runs" / "tiny-seed0" / "metrics.jsonl"
    while not metrics.exists() or not metrics.stat().st_size:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process, metrics.parent


def test_a_killed_workers_run_is_done_by_whoever_starts_next(data_dir, tmp_path):
    arguments = ("--models=tiny", "--config.budget.amount=9600", "--config.log_every_steps=1")
    first, run = begin(tmp_path, data_dir, *arguments, "--shard=0/2")
    first.kill()
    first.communicate()
    time.sleep(0.5)
    written = (run / "metrics.jsonl").stat().st_size
    time.sleep(1.0)
    assert (run / "metrics.jsonl").stat().st_size == written, "the run outlives its worker"
    assert not (run / "record.json").exists()
    # The run is none of the second's shard.
    second = worker(tmp_path, data_dir, *arguments, "--shard=1/2")
    output = second.communicate(timeout=300)
    assert second.returncode == 0, output
    assert times_trained(tmp_path) == {"tiny-seed0": 1}
    assert records.read(run / "record.json").budget.steps == 300


def test_a_worker_that_is_told_to_stop_saves_its_run_and_lets_go_of_it(data_dir, tmp_path):
    arguments = ("--models=tiny", "--config.budget.amount=1e9", "--config.log_every_steps=1")
    process, run = begin(tmp_path, data_dir, *arguments)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 75, errors
    assert errors.splitlines()[-1] == "told to stop; run the same command again to go on"
    assert list((run / "checkpoints").iterdir())
    assert not (run / "record.json").exists()
    with locks.acquire(run) as lock:
        assert lock


def test_a_worker_takes_up_what_nobody_is_at_and_leaves_what_somebody_is(
    config, tmp_path, monkeypatch
):
    dead, alive = (tmp_path / "runs" / f"tiny-seed{seed}" for seed in (1, 2))
    for directory in (dead, alive):
        directory.mkdir(parents=True)
        (directory / "lock-1.json").write_text('{"machine": "elsewhere", "pid": 1}')
    age(dead / "lock-1.json", 1000)
    age(alive / "lock-1.json", -1000)
    made = run(config, tmp_path, model_specs=["tiny"], seeds=[0, 1, 2], shard=shards.Shard(0, 3))
    assert [record.run_id for record in made] == ["tiny-seed0", "tiny-seed1"]
    assert records.read(dead / "record.json").status == "completed"
    assert not (alive / "record.json").exists()
