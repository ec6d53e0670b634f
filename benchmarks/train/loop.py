"""The training loop: batches through the compiled step, metrics out, checkpoints on the way.

The device never waits for the host: metrics are fetched one logging interval late, when they have long been computed.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from benchmarks.cli.progress import Event, Reporter
from benchmarks.errors import DivergedError
from benchmarks.machine.mesh import place_batch, replicate
from benchmarks.machine.preemption import Notice, PreemptedError
from benchmarks.runs.pace import Pace, Stretch
from benchmarks.steps.compile import Program
from benchmarks.steps.train_step import State
from benchmarks.tasks.metrics import named
from benchmarks.train.checkpoints import Checkpoints
from benchmarks.train.clock import Clock
from benchmarks.train.metric_files import MetricFiles, NoFiles


class Batches(Protocol):
    """Batches in order, which are closed at the end: on the host, but for what is on the devices already."""

    def __iter__(self) -> Iterator[dict[str, Any]]: ...
    def __next__(self) -> dict[str, Any]: ...
    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Where the loop begins and what it does on the way, in steps.

    Attributes:
      start_step: how many steps earlier attempts have done.
      batch_size: over all devices.
      log_every_steps, checkpoint_every_steps: how often metrics are logged and checkpoints saved.
      validate_every_steps: how often, before the end, the validation split is evaluated; 0 is never.
      profile_steps: (first, end) of a profiler trace, the end excluded, which is written to `profile_dir`.
    """

    start_step: int
    batch_size: int
    log_every_steps: int
    checkpoint_every_steps: int
    validate_every_steps: int = 0
    profile_steps: tuple[int, int] | None = None
    profile_dir: Path = Path("profile")


def train(
    program: Program,
    state: State,
    read: Callable[[int, int, int], Batches],
    pace: Pace,
    schedule: Schedule,
    *,
    clock: Clock,
    files: MetricFiles | NoFiles,
    checkpoints: Checkpoints,
    reporter: Reporter,
    notice: Notice,
    validate: Callable[[State], dict[str, float]],
) -> tuple[State, int]:
    """Returns the state after the last step, finished on the device, and how many steps there were.

    The seconds of training are added to `clock`, waiting for input included, checkpoints and validation excluded.

    Args:
      program: the compiled steps.
      state: the state after `schedule.start_step` steps; consumed.
      read: returns the batches of (first step, last step, image size), which are closed at the end.
      pace: which steps there are, and how far the run is at each.
      schedule: when to do what.
      clock: the run's.
      files: where the metrics are written.
      checkpoints: where the state is saved.
      reporter: is told how far the run is.
      notice: says when the run must save its state and stop.
      validate: returns the metrics of the validation split.

    Raises:
      DivergedError: a loss or gradient norm is not finite.
      PreemptedError: the run was told to stop, and its state is saved.
      CheckpointError: a checkpoint cannot be written.
    """
    stopwatch = _Stopwatch(clock)
    metrics = _Metrics(program.metric_names, schedule, stopwatch, files, reporter)
    profiler = _Profiler(schedule)
    reader = _Reader(read)
    step = schedule.start_step

    def seconds() -> float:
        jax.block_until_ready(state)
        return stopwatch.lap()

    @contextlib.contextmanager
    def stopped_clock() -> Iterator[None]:
        seconds()
        metrics.log_rest()
        yield
        stopwatch.restart()

    def between_steps() -> None:
        """Does what is due after `step`, which is not the last."""
        if step % schedule.log_every_steps == 0:
            metrics.log_interval()
        if schedule.validate_every_steps and step % schedule.validate_every_steps == 0:
            with stopped_clock():
                metrics.log_validation(step, validate(state))
        told = notice.given(step)
        if told or step % schedule.checkpoint_every_steps == 0:
            with stopped_clock():
                checkpoints.save(step, state, clock.seconds())
        if told:
            raise PreemptedError(step)

    with contextlib.closing(reader):
        while stretch := pace.after(step, seconds):
            metrics.steps = stretch.steps
            for _ in range(stretch.first, stretch.end):
                if step > schedule.start_step:
                    between_steps()
                profiler.before(step + 1)
                with clock.measure("input_wait"):
                    batch = reader.next(stretch)
                placed = place_batch(batch, program.mesh)
                progress = replicate(stretch.progress(step), program.mesh)
                train_step = program.train_steps[stretch.image_size]
                state, values = train_step(state, placed, progress)
                step += 1
                metrics.add(step, values)
    seconds()
    profiler.end()
    metrics.steps = step
    metrics.log_rest()
    return state, step


class _Reader:
    """Batches of one image size after another."""

    def __init__(self, read: Callable[[int, int, int], Batches]):
        self._read = read
        self._size: int | None = None
        self._batches: Batches | None = None

    def next(self, stretch: Stretch) -> dict[str, Any]:
        """Returns the next batch of a stretch, all of whose batches are asked for in turn."""
        if self._batches is None or stretch.image_size != self._size:
            self.close()
            self._batches = self._read(stretch.first, stretch.read_end, stretch.image_size)
            self._size = stretch.image_size
        return next(self._batches)

    def close(self) -> None:
        if self._batches is not None:
            self._batches.close()


class _Profiler:
    """A profiler trace of the steps that the schedule asks for."""

    def __init__(self, schedule: Schedule):
        self._schedule = schedule
        self._running = False

    def before(self, step: int) -> None:
        """Starts or stops the trace if `step` is the one to do so."""
        if self._schedule.profile_steps is None:
            return
        start, stop = self._schedule.profile_steps
        if step == start:
            jax.profiler.start_trace(self._schedule.profile_dir)
            self._running = True
        elif step == stop:
            self.end()

    def end(self) -> None:
        """Writes the trace, if one is running."""
        if self._running:
            jax.profiler.stop_trace()
        self._running = False


class _Stopwatch:
    """Adds the seconds since the last lap to the run's seconds of training."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Forgets the time since the last lap, such as a checkpoint's."""
        self._last = time.perf_counter()

    @property
    def seconds(self) -> float:
        """The seconds of training up to the last lap."""
        return self._clock["train"]

    def lap(self) -> float:
        """Returns the seconds of training so far."""
        now = time.perf_counter()
        self._clock.add("train", now - self._last)
        self._last = now
        return self.seconds


class _Metrics:
    """The metrics of steps that are still on the device, fetched an interval at a time."""

    def __init__(
        self,
        names: Sequence[str],
        schedule: Schedule,
        stopwatch: _Stopwatch,
        files: MetricFiles | NoFiles,
        reporter: Reporter,
    ):
        self.steps = 0  # in all, as far as is known
        self._names = names
        self._schedule = schedule
        self._stopwatch = stopwatch
        self._files = files
        self._reporter = reporter
        self._waiting: list[tuple[int, jax.Array]] = []
        self._closed: list[tuple[int, jax.Array]] = []

    def add(self, step: int, values: jax.Array) -> None:
        self._waiting.append((step, values))

    def log_interval(self) -> None:
        """Closes the current interval and writes the one before it."""
        self._write(self._closed)
        self._closed, self._waiting = self._waiting, []

    def log_rest(self) -> None:
        """Writes everything, waiting for the device."""
        for interval in (self._closed, self._waiting):
            self._write(interval)
        self._closed, self._waiting = [], []

    def log_validation(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the metrics of the validation split after a step whose own metrics are written."""
        seconds = {"train_seconds": self._stopwatch.seconds}
        self._files.write(step, named("validation", values) | seconds)

    def _write(self, interval: list[tuple[int, jax.Array]]) -> None:
        if not interval:
            return
        # Each is small and ready: fetching them one by one costs less than asking for all at once.
        fetched = np.stack([jax.device_get(values) for _, values in interval])
        for (step, _), values in zip(interval, fetched, strict=True):
            named = dict(zip(self._names, map(float, values), strict=True))
            loss, gradient_norm = named["loss"], named["gradient_norm"]
            if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
                self._files.write(step, {"train/loss": loss, "train/gradient_norm": gradient_norm})
                raise DivergedError(step, loss, gradient_norm)
        means = {
            f"train/{name}": float(mean)
            for name, mean in zip(self._names, fetched.mean(axis=0), strict=True)
        }
        last = interval[-1][0]
        # These steps are done, now that their metrics are here; later ones may be under way.
        seconds = self._stopwatch.lap()
        speed = last * self._schedule.batch_size / seconds
        measured = {"train/images_per_second": speed, "train_seconds": seconds}
        self._files.write(last, means | measured)
        self._reporter.report(
            Event(
                "training",
                step=last,
                steps=self.steps,
                loss=means["train/loss"],
                images_per_second=speed,
            )
        )
