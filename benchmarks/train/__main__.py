"""Trains a model under its budget, evaluates it, and writes the record of the run.

    python -m benchmarks.train --config=benchmarks/configs/digits.py --workdir=runs/one --config.model=resnet50

The same command resumes a run that was stopped. `WORKDIR/record.json` says how it ended; `metrics.jsonl` and
`tensorboard/` say what happened on the way; `weights/` holds the weights of a finished run, and `predictions/` what it
predicted for each example of the validation and test splits.
"""

import gc
import sys

from absl import flags

import models
from benchmarks.cli import command, progress
from benchmarks.errors import ConfigError, HostBusyError, StorageError
from benchmarks.machine import distributed, preemption, startup
from benchmarks.train.run import train_and_evaluate
from isobudget.wording import quoted


def define_flags() -> None:
    command.define_run_flags(
        "The folder for the run's record, weights and metrics. The same command resumes an earlier one in it."
    )
    flags.DEFINE_enum(
        "progress",
        "auto",
        progress.KINDS,
        "How to show progress: as a bar, as lines for a log, or as JSON lines for another program. auto is a bar in a "
        "terminal and lines elsewhere.",
    )
    distributed.define_flags()
    flags.DEFINE_list(
        "profile_steps",
        [],
        "Write a JAX profiler trace to WORKDIR/profile, of the steps from FIRST (counted from 1) until before LAST, "
        "given as FIRST,LAST. By default there is none.",
    )


def _profile_steps(given: list[str]) -> tuple[int, int] | None:
    if not given:
        return None
    if len(given) != 2 or not all(each.isdigit() for each in given):
        raise ConfigError(
            f"--profile_steps is two steps, such as 10,15, not {quoted(','.join(given))}."
        )
    return int(given[0]), int(given[1])


def main() -> int:
    gc.freeze()  # what was imported stays, and need not be looked through again
    startup.restart_with_allocator()
    startup.use_compilation_cache()
    config = command.given_config()
    if config.deterministic:
        startup.use_deterministic_operations()
    distributed.join()
    title = models.label(*models.parse(config.model))
    reporter = progress.create(flags.FLAGS.progress, title)
    try:
        record = train_and_evaluate(
            config,
            flags.FLAGS.workdir,
            reporter=reporter,
            profile_steps=_profile_steps(flags.FLAGS.profile_steps),
        )
    except preemption.PreemptedError as stopped:
        print(f"{title}: {stopped}", file=sys.stderr)
        return preemption.AGAIN_STATUS
    except HostBusyError as busy:
        reporter.report(progress.Event(f"{progress.BUSY}{busy}"))
        raise
    except StorageError:
        reporter.report(progress.Event(progress.NO_ROOM))  # a suite cannot read it from the log
        raise
    if record.status != "completed":
        print(f"{title}: {record.status}: {record.error}", file=sys.stderr)
        return 1
    test = ", ".join(f"{name} {value:.4g}" for name, value in record.metrics.test.items())
    print(f"{title}: test {test}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    command.run(main, define_flags, resumes=True)
