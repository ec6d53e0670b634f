"""How far a run is at each step, by counting and by the clock."""

import numpy as np
import pytest

from benchmarks.errors import CheckpointError
from benchmarks.runs import pace


class Machine:
    """A machine whose steps take as long as `seconds_of(step)`, and whose clock is looked at."""

    def __init__(self, seconds_of, start=0.0):
        self.seconds_of = seconds_of
        self.now = start
        self.looks = 0

    def seconds(self):
        self.looks += 1
        return self.now

    def run(self, timed, step=0, until=10**9):
        """Makes the steps that a pace hands out; returns how many, and (share, image size) at each."""
        told = []
        while step < until and (stretch := timed.after(step, self.seconds)):
            assert stretch.first == step < stretch.end
            for _ in range(stretch.first, min(stretch.end, until)):
                told.append((float(stretch.progress(step)), stretch.image_size))
                self.now += self.seconds_of(step)
                step += 1
        return step, told


def steady(step):
    return 0.01


def slower_later(step):
    return 0.01 if step < 400 else 0.05


def noisy(step):
    return 0.01 * np.random.default_rng(step).uniform(0.5, 3)


def test_counted_steps_are_as_float32_divides_them_and_change_size_at_equal_parts():
    counted = pace.Counted(10, (16, 32))
    first = counted.after(0, lambda: 0.0)
    second = counted.after(first.end, lambda: 0.0)
    assert (first.end, first.image_size, second.end, second.image_size) == (5, 16, 10, 32)
    assert second.progress(7) == np.float32(7) / np.float32(10)
    assert counted.after(10, lambda: 0.0) is None


@pytest.mark.parametrize("seconds_of", [steady, slower_later, noisy])
def test_a_budget_of_seconds_ends_with_the_step_that_reaches_it(seconds_of, tmp_path):
    machine = Machine(seconds_of)
    steps, told = machine.run(pace.Timed(30.0, (8,), tmp_path, 0, 0.0))
    last = seconds_of(steps - 1)
    assert 30.0 <= machine.now < 30.0 + max(last, 0.01 * 30.0)
    # What each step is told is the share that is spent, within what passes between two looks.
    spent = np.cumsum([0.0, *(seconds_of(step) for step in range(steps - 1))]) / 30.0
    np.testing.assert_allclose([share for share, _ in told], spent, atol=0.01)
    assert told[0][0] == 0
    assert told[-1][0] < 1
    assert machine.looks < steps


def test_image_sizes_change_where_their_share_of_the_seconds_is_spent(tmp_path):
    _, told = Machine(slower_later).run(pace.Timed(30.0, (16, 24, 32), tmp_path, 0, 0.0))
    for size, begin in ((24, 1 / 3), (32, 2 / 3)):
        assert min(share for share, side in told if side == size) == pytest.approx(begin, abs=0.01)


def test_a_step_that_is_longer_than_the_budget_is_made_once(tmp_path):
    machine = Machine(lambda step: 5.0)
    assert machine.run(pace.Timed(1.0, (8,), tmp_path, 0, 0.0)) == (1, [(0.0, 8)])


def test_what_the_clock_told_is_kept_and_repeated_on_a_machine_of_another_speed(tmp_path):
    steps, told = Machine(noisy).run(pace.Timed(3.0, (16, 32), tmp_path, 0, 0.0))
    looks = pace.read(tmp_path)
    again = Machine(slower_later).run(pace.Repeated(looks, steps, (16, 32)))
    assert again == (steps, told)
    # Also from the middle of a stretch.
    assert Machine(steady).run(pace.Repeated(looks, steps, (16, 32)), 77) == (steps, told[77:])


def test_a_run_that_is_resumed_forgets_what_came_after_its_checkpoint(tmp_path):
    _, told = Machine(steady).run(pace.Timed(3.0, (8,), tmp_path, 0, 0.0), until=140)
    resumed = pace.Timed(3.0, (8,), tmp_path, 100, 1.0)
    machine = Machine(steady, start=1.0)
    steps, rest = machine.run(resumed, 100)
    assert steps == pytest.approx(300, abs=1)
    looks = pace.read(tmp_path)
    assert [look.step for look in looks] == sorted({look.step for look in looks})
    assert Machine(steady).run(pace.Repeated(looks, steps, (8,)))[1] == told[:100] + rest


def test_without_what_the_clock_told_a_run_cannot_be_resumed(tmp_path):
    with pytest.raises(CheckpointError, match=r"progress.jsonl.* is missing"):
        pace.Timed(3.0, (8,), tmp_path, 100, 1.0)


def test_lines_after_a_damaged_one_are_not_read(tmp_path):
    Machine(steady).run(pace.Timed(3.0, (8,), tmp_path, 0, 0.0))
    path = tmp_path / "progress.jsonl"
    lines = path.read_text().splitlines()
    for damaged in (
        "{",
        '{"step": 3}',
        '{"step": 0, "progress": 0, "per_step": 0}',
        '{"step": "9"}',
    ):
        path.write_text("\n".join([*lines[:4], damaged, *lines[4:]]))
        assert len(pace.read(tmp_path)) == 4
