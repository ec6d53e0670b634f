"""All that a rented accelerator should measure of models, what is wanted most first; a survey that is cut off goes on.

It measures nothing in a way of its own: models beside PyTorch as `peers` does, their rooflines as `roofline`, models
alone as `model_speed`. One process after another measures, so that one that fails or runs out of memory costs the
others nothing.
"""

import dataclasses
import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from benchmarks.config.setup import Setup
from benchmarks.errors import ConfigError
from benchmarks.machine import child
from benchmarks.machine.child import ChildError
from benchmarks.throughput import handed_over, peers
from benchmarks.throughput.model_speed import Speed
from benchmarks.throughput.peers import Manner, PeerSpeed
from benchmarks.throughput.roofline import Roofline
from benchmarks.throughput.survey_folder import Row, SurveyFolder
from isobudget.errors import UserError

# The architectures that this suite is about, what is wanted most first.
FIRST = (
    "resnet50",
    "mobilenet_v1",
    "vgg16",
    "googlenet",
    "squeezenet1_1",
    "alexnet",
    "vgg19",
)

_CHILD = ("-m", "benchmarks.throughput.alone_child")
_KINDS = {PeerSpeed: "beside PyTorch", Roofline: "against the device's bounds", Speed: "alone"}


@dataclasses.dataclass(frozen=True)
class Job:
    """A measurement to be made.

    Attributes:
      kind: the class of its rows.
      setup: the model's.
    """

    kind: type[Row]
    setup: Setup

    def __str__(self) -> str:
        return f"{self.setup.model} {_KINDS[self.kind]}"


@dataclasses.dataclass(frozen=True)
class Failure:
    """A measurement that could not be made.

    Attributes:
      what: the model, and how it was to be measured.
      reason: one sentence.
    """

    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a survey.

    Attributes:
      failures: what could not be measured.
      left: how many measurements were not begun for want of time.
    """

    failures: Sequence[Failure]
    left: int


def machine() -> dict[str, Any]:
    """Returns the `hardware` and the `software` that models are measured on, without keeping a device.

    Raises:
      ChildError: JAX does not start.
    """
    return child.ask(_CHILD, {"do": "machine"}, "the process that looks at the machine")


def set_up(
    specs: Iterable[str], setup_of: Callable[[str], Setup]
) -> tuple[list[Setup], list[Failure]]:
    """Returns the setups of models, in the order in which they are measured, and why others cannot be measured.

    Args:
      specs: the models, which are there.
      setup_of: makes the setup of one.

    Raises:
      UserError: none of them can be measured.
    """
    setups: dict[str, Setup] = {}
    errors: dict[str, UserError] = {}
    for spec in specs:
        try:
            setup = setup_of(spec)
            setups[setup.model] = setup
        except UserError as error:  # such as pictures that are too small for it
            errors[spec] = error
    if errors and not setups:
        raise next(iter(errors.values()))
    first = [setups[name] for name in FIRST if name in setups]
    others = [setup for name, setup in setups.items() if name not in FIRST]
    return first + others, [Failure(spec, str(error)) for spec, error in errors.items()]


def agenda(setups: Sequence[Setup], *, beside: bool) -> list[Job]:
    """Returns the measurements of models, what is wanted most first.

    These are training and inference of each of `FIRST`, then what their devices allow them at most, then training and
    inference of the others alone.

    Args:
      setups: the models', in this order.
      beside: whether those of `FIRST` are measured beside PyTorch, and not alone.
    """
    first = [setup for setup in setups if setup.model in FIRST]
    others = [setup for setup in setups if setup.model not in FIRST]
    return [
        *(Job(PeerSpeed if beside else Speed, setup) for setup in first),
        *(Job(Roofline, setup) for setup in first),
        *(Job(Speed, setup) for setup in others),
    ]


def left_to_do(jobs: Iterable[Job], folder: SurveyFolder, manner: Manner) -> list[Job]:
    """Returns the measurements that a folder does not have yet."""
    done = {_key(kind, row) for kind, rows in folder.rows.items() for row in rows}
    return [job for job in jobs if _key_of(job, manner) not in done]


def asked_for(
    jobs: Iterable[Job], folder: SurveyFolder, manner: Manner
) -> dict[type[Row], list[Any]]:
    """Returns a folder's rows of these measurements, by class; it may have others, such as of another number type."""
    asked = {_key_of(job, manner) for job in jobs}
    return {
        kind: [row for row in rows if _key(kind, row) in asked]
        for kind, rows in folder.rows.items()
    }


def described(jobs: Sequence[Job], jobs_in_all: int) -> str:
    """Returns in one sentence what is to be measured, in order."""
    done = jobs_in_all - len(jobs)
    if not jobs:
        return f"All {done} measurements are there already."
    stages = [
        f"{how}: {', '.join(job.setup.model for job in stage)}"
        for how, stage in itertools.groupby(jobs, lambda job: _KINDS[job.kind])
    ]
    already = f"{done} of {jobs_in_all} measurements are there already; " if done else ""
    return f"{already}measuring, in this order, {'; then '.join(stages)}."


def time_limit(minutes: float | None) -> Callable[[], bool]:
    """Returns a function that says whether so many minutes are over from now on; None is no limit."""
    began = time.monotonic()
    return lambda: minutes is not None and time.monotonic() - began > 60 * minutes


def measure(
    jobs: Sequence[Job], folder: SurveyFolder, manner: Manner, time_is_up: Callable[[], bool]
) -> Outcome:
    """Measures one model after another into a folder, until all are done or the time is up.

    Args:
      jobs: what is measured, in this order.
      folder: which gets the rows.
      manner: how models are measured beside PyTorch.
      time_is_up: says whether no more measurements are begun.
    """
    failures = []
    begun = 0
    for group in _groups(jobs, manner.at_once):
        if time_is_up():
            break
        for number, job in enumerate(group, begun + 1):
            print(f"[{number}/{len(jobs)}] {job}", file=sys.stderr, flush=True)
        begun += len(group)
        for job, told in _measured(group, manner):
            if isinstance(told, UserError):
                failures.append(Failure(str(job), str(told)))
                print(f"error: {failures[-1]}", file=sys.stderr, flush=True)
            else:
                folder.add(job.kind, told)
    return Outcome(failures, len(jobs) - begun)


def _groups(jobs: Iterable[Job], at_once: int) -> Iterator[list[Job]]:
    """Yields the measurements that are begun together: beside PyTorch so many in a row, others one by one."""
    for kind, stage in itertools.groupby(jobs, lambda job: job.kind):
        listed = list(stage)
        size = at_once if kind is PeerSpeed else 1
        for start in range(0, len(listed), size):
            yield listed[start : start + size]


def _measured(
    group: Sequence[Job], manner: Manner
) -> Iterator[tuple[Job, Sequence[Row] | UserError]]:
    """Yields the rows of each measurement of a group, or why there are none."""
    if group[0].kind is not PeerSpeed:
        (job,) = group
        yield job, _alone(job)
        return
    there = []
    for job in group:
        try:
            peers.check_networks([job.setup.model])
            there.append(job)
        except ConfigError as error:  # a package that is not installed
            yield job, error
    speeds = peers.measure([job.setup for job in there], manner)
    for job, told in zip(there, speeds, strict=True):
        yield job, told if isinstance(told, ChildError) else [told]


def _alone(job: Job) -> list[Row] | ChildError:
    """Returns the rows of a measurement that a process of its own makes, or why it cannot."""
    with handed_over.request(job.setup) as request:
        asked = {"do": "measure", "kind": job.kind.__name__} | request
        try:
            told = child.ask(_CHILD, asked, f"the process that measures {job}")
        except ChildError as error:
            return error
    return [job.kind(**row) for row in told["rows"]]


def _key(kind: type[Row], row: Any) -> tuple:
    """Returns what tells a row from others of one machine and version."""
    compiled = row.peer_compiled if kind is PeerSpeed else None
    return kind, row.model, row.image_size, row.batch_size, row.dtype, compiled


def _key_of(job: Job, manner: Manner) -> tuple:
    """Returns the same of the rows that a measurement will give."""
    setup, config = job.setup, job.setup.config
    compiled = manner.compiled if job.kind is PeerSpeed else None
    return job.kind, setup.model, setup.image_size, config.batch_size, config.dtype, compiled
