"""The stopwatch of every measurement."""

import pytest

from benchmarks.machine import timing


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for `tick`."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def tick(seconds: float) -> None:
        now[0] += seconds

    return tick


def test_a_call_is_timed(clock):
    assert timing.seconds(lambda: clock(2.5)) == 2.5


def test_the_first_call_warms_up_and_is_not_counted(clock):
    durations = iter([10.0, 1.0, 2.0, 3.0])
    assert timing.samples(lambda: clock(next(durations)), at_least=3) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("each", "options", "calls"),
    [
        (0.5, {"at_least": 3, "at_least_seconds": 2.0}, 4),
        (0.5, {"at_least": 3, "at_least_seconds": 1.0}, 3),
        (0.25, {"at_least": 2, "at_least_seconds": 10.0, "at_most": 5}, 5),
    ],
)
def test_calls_go_on_until_they_took_long_enough(clock, each, options, calls):
    assert timing.samples(lambda: clock(each), **options) == [each] * calls


def test_of_several_processes_the_slowest_says_how_many_calls_are_left(monkeypatch):
    monkeypatch.setattr(timing.distributed, "slowest", lambda seconds: 2 * seconds)
    assert timing.calls_left(0.5, 5, at_least_seconds=4.0) == 15
    assert timing.calls_left(4.0, 5, at_least_seconds=4.0) == 0
