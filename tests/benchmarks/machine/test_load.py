"""How many of this process's cores others keep busy."""

import os
import types

import pytest

from benchmarks.machine import load


@pytest.fixture
def machine(monkeypatch):
    """Four cores, of which this process may use the first two; the test says how long each was busy."""
    now = types.SimpleNamespace(seconds=0.0, own=0.0, busy=[0.0] * 4, steal=[0.0] * 4)

    def cpu_times(percpu):
        assert percpu
        return [
            types.SimpleNamespace(
                user=busy, nice=0.0, system=0.0, idle=9e9, iowait=5e9, steal=steal
            )
            for busy, steal in zip(now.busy, now.steal, strict=True)
        ]

    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    monkeypatch.setattr(load.psutil, "cpu_times", cpu_times)
    monkeypatch.setattr(load.time, "perf_counter", lambda: now.seconds)
    monkeypatch.setattr(load.time, "process_time", lambda: now.own)
    return now


def test_what_the_process_does_itself_and_other_cores_do_is_no_other_work(machine):
    watch = load.Watch()
    machine.seconds, machine.own = 10.0, 17.0
    machine.busy = [9.0, 9.0, 10.0, 10.0]
    assert watch.other_cores() == pytest.approx((18 - 17) / 10)


def test_time_that_another_virtual_machine_took_is_other_work(machine):
    watch = load.Watch()
    machine.seconds, machine.steal = 10.0, [5.0, 0.0, 10.0, 10.0]
    assert watch.other_cores() == pytest.approx(0.5)


def test_it_is_never_below_nothing(machine):
    watch = load.Watch()
    machine.seconds, machine.own = (
        1.0,
        1.0,
    )  # the system's own count comes in hundredths of a second
    machine.busy = [0.99, 0.0, 0.0, 0.0]
    assert watch.other_cores() == 0.0


def test_before_a_measurement_it_is_watched_while_this_process_waits(machine, monkeypatch):
    def sleep(seconds):
        machine.seconds += seconds
        machine.busy = [seconds, seconds / 2, 0.0, 0.0]

    monkeypatch.setattr(load.time, "sleep", sleep)
    assert load.other_cores(2.0) == pytest.approx(1.5)
    assert load.cores() == 2
