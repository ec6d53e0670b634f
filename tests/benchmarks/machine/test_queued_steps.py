"""Steps are timed in a row, and waited for once."""

import pytest

from benchmarks.machine import load, queued_steps


class Device:
    """A device whose steps take no time to begin, and are done while somebody waits for them."""

    def __init__(self, seconds_a_step):
        self.now, self.waits = 0.0, []
        self._seconds, self._queued = seconds_a_step, 0

    def step(self):
        self._queued += 1

    def wait(self):
        self.now += self._queued * self._seconds
        self.waits.append(self._queued)
        self._queued = 0


@pytest.fixture
def make_device(monkeypatch):
    def make(seconds_a_step):
        device = Device(seconds_a_step)
        monkeypatch.setattr(queued_steps.time, "perf_counter", lambda: device.now)
        monkeypatch.setattr(load.Watch, "other_cores", lambda watch: 0.25)
        return device

    return make


def test_enough_steps_are_queued_and_waited_for_together(make_device):
    device = make_device(0.5)
    pace = queued_steps.measure(device.step, device.wait, at_least_seconds=10.0)
    assert pace.steps_per_second == pytest.approx(2.0)
    assert pace.other_cores == 0.25
    warm_up, few, enough = device.waits
    assert (warm_up, few) == (2, 3)
    assert 20 <= enough <= 24


def test_steps_that_last_long_are_few(make_device):
    device = make_device(6.0)
    assert queued_steps.measure(device.step, device.wait, 3.0).steps_per_second == pytest.approx(
        1 / 6
    )
    assert device.waits == [2, 3]


def test_first_steps_that_were_too_quick_do_not_make_it_last_for_ever(make_device):
    device = make_device(1e-9)
    steps = iter([2, 3, 300])

    def wait():
        device.wait()
        device.now += 5.0 if device.waits[-1] >= 300 else 0.0
        assert device.waits[-1] == next(steps)

    pace = queued_steps.measure(device.step, wait, at_least_seconds=3.0)
    assert pace.steps_per_second == pytest.approx(60.0)
