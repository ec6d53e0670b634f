"""A run that is killed at any moment, any number of times, ends as if nothing had happened."""

import collections
import dataclasses
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks.cli import progress
from results import records

_ROOT = Path(__file__).parents[3]
# 60 steps with thirty checkpoints on the way, and evaluation on both other splits.
_ARGUMENTS = (
    *("--progress=json", "--config=benchmarks/configs/digits.py", "--plugins=tiny_model"),
    "--config.model=tiny",
    *("--config.budget.amount=1920", "--config.optimizer.learning_rate=0.02"),
    *("--config.checkpoint_every_steps=2", "--config.log_every_steps=2"),
)


@dataclasses.dataclass
class Life:
    """One process: seconds from its first sign (before which it has touched nothing) to its end, and how it ended."""

    seconds: float
    status: int
    phase: str


def live(
    workdir, data_dir, kill_after: float | None = None, kill_at_step: int | None = None
) -> Life:
    """Runs `python -m benchmarks.train`; kills it so many seconds after its first sign, or once it tells of a step."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.train", f"--workdir={workdir}", *_ARGUMENTS],
        env=os.environ | {"TFDS_DATA_DIR": data_dir},
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    began, phase, timer = None, "", None
    for line in process.stdout:
        event = progress.parse(line)
        if event is None:
            continue
        phase = event.phase
        if began is None:
            began = time.monotonic()
            if kill_after is not None:
                timer = threading.Timer(kill_after, process.kill)
                timer.start()
        if kill_at_step is not None and phase == "training" and event.step >= kill_at_step:
            process.kill()
            break
    status = process.wait()
    if timer:
        timer.cancel()
    return Life(time.monotonic() - began if began else 0.0, status, phase)


def assert_same(folder, whole: records.RunRecord) -> None:
    """Checks that a run ended as the undisturbed one."""
    record = records.read(folder / "record.json")
    assert (record.status, record.error) == ("completed", None)
    assert record.weights_digest == whole.weights_digest
    assert record.metrics == whole.metrics


def kill_and_resume(workdir, data_dir, kills: int, seed: int) -> collections.Counter:
    """Kills runs at so many random moments of an undisturbed run's life, resuming each time; some end before theirs.

    Every run must end as the undisturbed one. Returns how many kills fell in each phase.
    """
    rng = random.Random(seed)
    undisturbed = live(workdir / "whole", data_dir)
    assert undisturbed.status == 0
    whole = records.read(workdir / "whole" / "record.json")
    # Each stretch of the life gets as many, in random order.
    moments = [(index + rng.random()) / kills * undisturbed.seconds for index in range(kills)]
    rng.shuffle(moments)
    phases: collections.Counter = collections.Counter()
    run = 0
    while moments:
        run += 1
        folder = workdir / f"run{run}"
        # At most five kills a run, else a run that is always killed early would have no end.
        for _ in range(5):
            ended = live(folder, data_dir, moments.pop()) if moments else live(folder, data_dir)
            if ended.status == 0:
                break
            assert ended.status == -9, ended
            phases[ended.phase] += 1
        else:
            assert live(folder, data_dir).status == 0
        assert_same(folder, whole)
    return phases


def test_a_run_killed_in_the_middle_of_training_ends_with_the_same_bits(data_dir, tmp_path):
    assert live(tmp_path / "whole", data_dir).status == 0
    killed = live(tmp_path / "killed", data_dir, kill_at_step=30)
    assert (killed.status, killed.phase) == (-9, "training")
    assert not (tmp_path / "killed" / "record.json").exists()
    assert live(tmp_path / "killed", data_dir).status == 0
    assert_same(tmp_path / "killed", records.read(tmp_path / "whole" / "record.json"))


@pytest.mark.slow
def test_dozens_of_kills_change_no_bit(data_dir, tmp_path):
    start = time.monotonic()
    # Of a hundred, about seventy come before the run has ended.
    phases = kill_and_resume(tmp_path, data_dir, kills=100, seed=1)
    print(f"\n{sum(phases.values())} kills in {time.monotonic() - start:.0f} s: {dict(phases)}")
    assert sum(phases.values()) >= 50
