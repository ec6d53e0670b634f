"""A full disk stops a run with one sentence and loses nothing; it is never taken for a lack of memory."""

import errno
import os
import random
import subprocess
import threading
import time

import jax
import pytest

from benchmarks.errors import CheckpointError, StorageError, is_out_of_room
from benchmarks.launch import outcome
from benchmarks.machine import memory
from benchmarks.train import attempt, checkpoints, train_and_evaluate
from results import records
from results.records import files

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
# As tensorstore says it, in the words that XLA has for a lack of memory.
TENSORSTORE = ValueError(
    'RESOURCE_EXHAUSTED: Error writing "d/abc" in OCDBT database: [OS error 28: ENOSPC No space left on device]'
)


@pytest.fixture(scope="module")
def whole(make_config, tmp_path_factory):
    """The record of a run that always had room."""
    return train_and_evaluate(make_config(), tmp_path_factory.mktemp("whole"))


def assert_stops_and_goes_on(config, workdir, monkeypatch, whole) -> None:
    with pytest.raises(StorageError, match=f"no room left on the disk of {workdir}; free some"):
        train_and_evaluate(config, workdir)
    assert not records.path_in(workdir).exists()
    monkeypatch.undo()
    again = train_and_evaluate(config, workdir)
    assert (again.status, again.accumulation) == ("completed", 1)
    assert again.weights_digest == whole.weights_digest


@pytest.mark.parametrize("error", [FULL, TENSORSTORE])
def test_no_room_for_a_checkpoint_keeps_the_one_before(config, tmp_path, monkeypatch, whole, error):
    save, saves = checkpoints.ocp.CheckpointManager.save, []

    def full(manager, step, **options):
        saves.append(step)
        if len(saves) > 1:
            raise error
        return save(manager, step, **options)

    monkeypatch.setattr(checkpoints.ocp.CheckpointManager, "save", full)
    with pytest.raises(StorageError):
        train_and_evaluate(config, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["5"]
    assert_stops_and_goes_on(config, tmp_path, monkeypatch, whole)


@pytest.mark.parametrize("name", ["config.json", "test.npz", "class_names.json", "record.json"])
def test_no_room_for_any_file_of_a_run_stops_it_and_loses_nothing(
    config, tmp_path, monkeypatch, whole, name
):
    def full(write):
        def written(path, content):
            if str(path).endswith(name):
                raise FULL
            return write(path, content)

        return written

    for function in ("write_atomically", "create_atomically"):
        monkeypatch.setattr(files, function, full(getattr(files, function)))
    monkeypatch.setattr(records.folders, "write_atomically", full(records.folders.write_atomically))
    assert_stops_and_goes_on(config, tmp_path, monkeypatch, whole)


def test_no_room_for_the_weights_stops_a_run_and_loses_nothing(
    config, tmp_path, monkeypatch, whole
):
    def full(*_):
        raise TENSORSTORE

    monkeypatch.setattr(attempt, "save_weights", full)
    assert_stops_and_goes_on(config, tmp_path, monkeypatch, whole)


def test_errors_are_told_apart_by_where_they_come_from():
    device = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 2 bytes.")
    assert memory.is_out_of_memory(device)
    assert memory.is_out_of_memory(MemoryError())
    assert memory.is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_room(device)
    for error in (FULL, TENSORSTORE, OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))):
        assert is_out_of_room(error)
        assert not memory.is_out_of_memory(error)
    assert not memory.is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: something else"))
    wrapped = CheckpointError("a checkpoint cannot be written")
    wrapped.__cause__ = FULL
    assert is_out_of_room(wrapped)


def test_a_suite_stops_at_a_full_disk_with_one_sentence_and_status_1(
    command_here, tmp_path, monkeypatch
):
    def full(*_, **__):
        raise FULL

    monkeypatch.setattr(outcome, "begin", full)
    done = command_here(
        *("benchmarks.suite", "--config=benchmarks/configs/digits.py", f"--workdir={tmp_path}"),
        "--models=tiny",
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: there is no room left on the disk of {tmp_path}; free")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_disk_that_fills_at_random_moments_changes_no_bit(command, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small], check=True)
    arguments = (
        *("benchmarks.train", "--config=benchmarks/configs/digits.py", "--config.model=tiny"),
        *("--config.budget.amount=1920", "--config.checkpoint_every_steps=2"),
        "--config.log_every_steps=2",
    )
    rng, stopped = random.Random(0), 0
    try:
        assert command(*arguments, f"--workdir={tmp_path / 'whole'}").returncode == 0
        whole = records.read(records.path_in(tmp_path / "whole"))
        for number in range(20):
            workdir, other = small / str(number), small / "other"
            timer = threading.Timer(rng.uniform(1.0, 9.0), fill, [other])
            timer.start()
            done = command(*arguments, f"--workdir={workdir}")
            timer.cancel()
            timer.join()
            other.unlink(missing_ok=True)
            if done.returncode:
                stopped += 1
                assert done.returncode == 1, done.stderr
                assert "there is no room left on the disk" in done.stderr
                assert "Traceback" not in done.stderr
                assert command(*arguments, f"--workdir={workdir}").returncode == 0
            record = records.read(records.path_in(workdir))
            assert (record.status, record.accumulation) == ("completed", 1)
            assert record.weights_digest == whole.weights_digest
            subprocess.run(["rm", "-rf", workdir], check=True)
    finally:
        subprocess.run(["umount", "-l", small], check=True)
    print(f"\n{stopped} of 20 runs met a full disk")
    assert stopped >= 5


def fill(path) -> None:
    """Writes until there is no room left."""
    with path.open("wb") as file:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                os.write(file.fileno(), b"\0" * 4096)
            except OSError:
                time.sleep(0.05)  # somebody may have made room
