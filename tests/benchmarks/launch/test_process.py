"""One process of a run: how it ends is told apart, and it ends with whoever follows it."""

import contextlib
import os
import sys

import pytest

from benchmarks.launch import cores, outcome, process
from benchmarks.launch.process import Ended
from benchmarks.machine import oom


def ended(run) -> Ended:
    order = process.Order(run.workdir, module="stand_in")
    *_, last = process.train(order)
    return last


def test_a_process_that_the_kernel_ended_for_lack_of_memory_ran_out_of_it(stand_ins, monkeypatch):
    (run,) = stand_ins("tiny:fault=killed")
    started = outcome.begin(run)
    counts = iter([3, 4])
    monkeypatch.setattr(oom, "kills", lambda: next(counts))
    how = ended(run)
    assert (how.status, how.out_of_memory) == (-9, True)
    record = outcome.record_of(run, started, how)
    assert (record.status, record.error) == (
        "out_of_memory",
        "The machine ran out of memory and ended it; see 0/log.txt.",
    )


@pytest.mark.parametrize(
    ("status", "before", "after", "is_sign"),
    [(-9, 3, 4, True), (-9, 3, 3, False), (1, 3, 4, False), (-9, None, None, False)],
)
def test_the_kernels_count_and_its_signal_together_are_the_sign(
    monkeypatch, status, before, after, is_sign
):
    monkeypatch.setattr(oom, "kills", lambda: after)
    assert oom.is_sign_of_it(status, before) == is_sign


def test_this_machines_kernel_counts():
    assert oom.kills() is None or oom.kills() >= 0


@pytest.mark.parametrize("how", [Ended(75), Ended(0, told=True)])
def test_a_run_that_was_told_to_stop_has_no_record_and_goes_on(stand_ins, how):
    (run,) = stand_ins("tiny")
    assert outcome.record_of(run, outcome.begin(run), how) is None


def test_a_process_saves_before_whoever_followed_it_goes_on(stand_ins):
    (run,) = stand_ins("tiny:width=100")
    outcome.begin(run)
    with contextlib.closing(process.train(process.Order(run.workdir, module="stand_in"))) as events:
        next(events)
    assert (run.workdir / "saved.txt").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines processes to cores")
def test_cores_are_one_runs_alone_and_a_process_keeps_to_them(tmp_path, monkeypatch):
    monkeypatch.setattr(cores.tempfile, "gettempdir", lambda: str(tmp_path))
    mine = os.sched_getaffinity(0)
    with cores.allotted(len(mine)) as whole, cores.allotted(1) as none_left:
        assert (whole, none_left) == (mine, frozenset())
    with cores.allotted(1) as one:
        (core,) = one
        with process._confined_to(one):
            assert os.sched_getaffinity(0) == {core}
        assert os.sched_getaffinity(0) == mine
