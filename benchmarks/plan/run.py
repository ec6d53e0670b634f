"""Plans: each model's steps compiled side by side, each in a process of its own."""

import concurrent.futures
import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import psutil
from ml_collections import ConfigDict

from benchmarks.config import resolve
from benchmarks.config.setup import Setup
from benchmarks.errors import ConfigError
from benchmarks.machine.child import ChildError
from benchmarks.plan import figures, largest
from benchmarks.plan.figures import Figures
from benchmarks.plan.programs import Compiler, Job
from benchmarks.plan.targets import Target
from benchmarks.runs import normalization, validation

# What compiling one large step takes.
_BYTES_A_PROCESS = 4 * 2**30

Result = TypeVar("Result")


def set_up(
    config: ConfigDict, specs: Sequence[str], num_logits: int, target: Target
) -> list[Setup]:
    """Returns the setups of the models, each as its run in a suite has it.

    Raises:
      ConfigError, models.ModelError: as `validation.validate`, or the batch does not divide among the devices.
    """
    setups = [
        validation.checked(resolve.for_run(config, spec, config.suite.seeds[0]), num_logits)
        for spec in specs
    ]
    for each in setups:
        batch = each.config.batch_size
        if batch % target.devices:
            raise ConfigError(
                f"config.batch_size is divided among the {target.devices} devices of {target.name}, which {batch} "
                "cannot be."
            )
        normalization.check(each.config, each.config.accumulation, target.devices)
    return setups


def jobs(setups: Sequence[Setup], target: Target) -> list[Job]:
    """Returns the steps of all models: those of training by image size, then evaluation's."""
    return [
        Job(setup, target, side)
        for setup in setups
        for side in (*sorted(set(setup.train_sizes)), None)
    ]


def default_processes() -> int:
    """Returns how many steps are compiled at once here: one on each core, as far as memory goes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory().available // _BYTES_A_PROCESS
    return max(1, min(cores or 1, memory))


def compile_all(
    todo: Sequence[Job], compiler: Compiler, processes: int, tell: Callable[[str], None]
) -> list[Figures]:
    """Returns the figures of each step, in order.

    Args:
      todo: the steps.
      compiler: compiles them.
      processes: how many at once.
      tell: gets a line as each is done.
    """
    # Training first: its steps take longest.
    order = sorted(todo, key=lambda job: job.side is None)

    def work_out(job: Job) -> tuple[Figures, str]:
        kept = compiler.kept(job)
        try:
            program = kept or compiler.compile(job)
        except ChildError as error:
            if compiler.stopped:
                raise
            return figures.failed(job, str(error)), "failed"
        row = figures.work_out(job, program)
        if row.status == "failed":
            return row, "does not compile"
        return row, "compiled before" if kept else f"{program.compile_seconds:,.0f} s"

    rows = _side_by_side(work_out, order, compiler, processes, tell)
    by_job = dict(zip(map(id, order), rows, strict=True))
    return [by_job[id(job)] for job in todo]


def largest_batches(
    training: Sequence[Job], compiler: Compiler, processes: int, tell: Callable[[str], None]
) -> list[largest.Largest]:
    """Returns the largest batch of each training step that fits; see `compile_all`."""

    def find(job: Job) -> tuple[largest.Largest, str]:
        row = largest.find(job, compiler)
        return row, f"a batch of {row.batch_size}" if row.batch_size else "no batch fits"

    return _side_by_side(find, training, compiler, processes, tell)


def _side_by_side(
    work: Callable[[Job], tuple[Result, str]],
    todo: Sequence[Job],
    compiler: Compiler,
    processes: int,
    tell: Callable[[str], None],
) -> list[Result]:
    """Returns what is made of each job, so many at once; each comes with what is told of it."""
    lock, done = threading.Lock(), 0

    def one(job: Job) -> Result:
        nonlocal done
        result, outcome = work(job)
        with lock:
            done += 1
            size = f" at {job.side}" if job.side else ""
            tell(f"[{done}/{len(todo)}] {job.setup.model}, {job.step}{size}: {outcome}")
        return result

    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        futures = [pool.submit(one, job) for job in todo]
        try:
            return [each.result() for each in futures]
        except BaseException:  # such as Ctrl-C: nothing more begins, and what compiles is ended
            pool.shutdown(wait=False, cancel_futures=True)
            compiler.stop()
            raise
