"""One run after another: the process of the next one waits while a run is under way, and ends with its launcher."""

import dataclasses

import pytest

from benchmarks.launch import process
from benchmarks.launch.local import LocalLauncher
from benchmarks.runs.folder import LOG_FILE


@pytest.fixture
def started(monkeypatch):
    """Lists the runs whose process was started for them alone, and the processes that waited for any."""
    alone, spares = [], []

    def start(order, *rest):
        alone.append(order.workdir.name)
        return _start(order, *rest)

    def ready_spare(*arguments):
        spares.append(_ready_spare(*arguments))
        return spares[-1]

    _start, _ready_spare = process._start, process.ready_spare
    monkeypatch.setattr(process, "_start", start)
    monkeypatch.setattr(process, "ready_spare", ready_spare)
    return alone, spares


def test_each_run_but_the_first_gets_a_process_that_waited(stand_ins, launched, started, starts):
    runs = stand_ins("tiny:width=3", seeds=(0, 1, 2))
    made = launched(LocalLauncher("stand_in"), runs)
    alone, spares = started
    assert [record.status for record in made] == ["completed"] * 3
    assert (alone, len(spares)) == (["0"], 2)
    assert len({line for run in runs for line in starts(run)}) == 3
    assert all(spare._process.returncode == 0 for spare in spares)


def test_a_process_that_waited_writes_the_log_and_its_end_is_told_apart(
    stand_ins, launched, started
):
    failing = "tiny:fault=raises"
    first, second = launched(LocalLauncher("stand_in"), stand_ins("tiny:width=3", failing))
    assert (first.status, second.status) == ("completed", "crashed")
    assert second.error == f"The process ended with exit status 3; see 1/{LOG_FILE}."


def test_a_process_that_died_while_it_waited_is_replaced(stand_ins, launched, started):
    alone, spares = started

    def kill_spare() -> None:
        for spare in spares:
            spare._process.kill()
            spare._process.wait()

    runs = stand_ins("tiny:width=3", seeds=(0, 1))
    made = launched(LocalLauncher("stand_in"), runs, before_one_begins=kill_spare)
    assert [record.status for record in made] == ["completed"] * 2
    assert (alone, len(spares)) == (["0", "1"], 1)


def test_no_process_is_left_where_runs_are_interrupted(stand_ins, launched, started):
    def interrupt() -> None:
        raise KeyboardInterrupt

    runs = stand_ins("tiny:width=3", seeds=(0, 1, 2))
    with pytest.raises(KeyboardInterrupt):
        launched(LocalLauncher("stand_in"), runs, when_one_ends=interrupt)
    _, (spare,) = started
    assert spare._process.returncode is not None


def test_nothing_is_started_beside_a_budget_of_seconds(stand_ins, launched, started):
    runs = [
        dataclasses.replace(run, budget=dataclasses.replace(run.budget, kind="seconds"))
        for run in stand_ins("tiny:width=3", seeds=(0, 1))
    ]
    launched(LocalLauncher("stand_in"), runs)
    assert started == (["0", "1"], [])
