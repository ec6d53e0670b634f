"""Which other trainings share the host."""

import errno
import json
import os
import subprocess
import sys

import psutil
import pytest

from benchmarks.errors import HostBusyError, StorageError
from benchmarks.machine import neighbors
from benchmarks.train import attempt, train_and_evaluate


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The registry, which no other test writes to."""
    monkeypatch.setenv(neighbors.FOLDER_VARIABLE, str(tmp_path / "host"))
    return tmp_path / "host"


@pytest.fixture
def other_process():
    """A process that is there as long as the test."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate()


def register(folder, process, run, created=None) -> None:
    folder.mkdir(exist_ok=True)
    created = created or psutil.Process(process).create_time()
    (folder / str(process)).write_text(json.dumps({"run": run, "created": created}))


def test_a_run_alone_sees_itself_and_lets_go(folder, tmp_path):
    with neighbors.registered(tmp_path) as watch:
        assert (watch.most, watch.earlier) == (1, set())
        assert [path.name for path in folder.iterdir()] == [str(os.getpid())]
    assert list(folder.iterdir()) == []


def test_another_run_counts_and_another_process_of_the_same_run_does_not(
    folder, tmp_path, other_process
):
    register(folder, other_process, str(tmp_path))
    with neighbors.registered(tmp_path) as watch:
        assert watch.most == 1
    register(folder, other_process, "/elsewhere")
    with neighbors.registered(tmp_path) as watch:
        assert (watch.most, watch.earlier) == (2, {"/elsewhere"})


def test_what_is_damaged_or_of_a_process_that_is_gone_counts_for_nothing(
    folder, tmp_path, other_process
):
    register(folder, other_process, "/elsewhere", created=1.0)
    (folder / "1").write_text("{")
    (folder / "note.txt").write_text('{"run": "/elsewhere", "created": 1.0}')
    with neighbors.registered(tmp_path) as watch:
        assert watch.most == 1


def test_the_record_says_how_many_runs_shared_the_host(config, folder, tmp_path, other_process):
    assert train_and_evaluate(config, tmp_path / "alone").concurrent_runs == 1
    register(folder, other_process, "/elsewhere")
    assert train_and_evaluate(config, tmp_path / "beside").concurrent_runs == 2
    assert not (tmp_path / "beside" / "concurrent_runs.txt").exists()


def test_a_run_that_goes_on_alone_remembers_that_it_was_not(
    config, folder, tmp_path, other_process, monkeypatch
):
    register(folder, other_process, "/elsewhere")
    with monkeypatch.context() as full:
        full.setattr(attempt, "save_weights", no_room)
        with pytest.raises(StorageError):
            train_and_evaluate(config, tmp_path / "run")
    (folder / str(other_process)).unlink()
    assert train_and_evaluate(config, tmp_path / "run").concurrent_runs == 2


def no_room(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_budget_of_seconds_does_not_begin_beside_another_run(
    config, folder, tmp_path, other_process
):
    register(folder, other_process, "/elsewhere")
    config.budget.kind, config.budget.amount = "seconds", 0.1
    with pytest.raises(HostBusyError, match="needs a CPU for itself, and /elsewhere is trained"):
        train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run" / "record.json").exists()
