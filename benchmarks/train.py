"""One run: train a model under its budget, evaluate it, and write its record.

    python -m benchmarks.train --config=benchmarks/configs/digits.py --workdir=runs/one --config.model=resnet50

The same command resumes a run that was stopped. `WORKDIR/record.json` says how it ended; `metrics.jsonl` and
`tensorboard/` what happened on the way; `weights/` holds the weights of a finished run, and `predictions/` what it
said of each example of the validation and test splits.
"""

import sys
import traceback
from pathlib import Path

import jax
from absl import flags
from ml_collections import ConfigDict

import models
from benchmarks import checkpoints, commands, execution, preemption, processes, progress, runs
from benchmarks import config as config_lib
from benchmarks.errors import ConfigError
from results import records


def train_and_evaluate(
    config: ConfigDict,
    workdir: str | Path,
    *,
    reporter: progress.Reporter | None = None,
    profile_steps: tuple[int, int] | None = None,
) -> records.RunRecord:
    """Trains and evaluates one run, resuming where an earlier call was stopped, and returns its record.

    A run that was completed before is not run again. One that diverges, runs out of memory or raises is a record too,
    whose status says so. Where memory runs out, the batch is worked on in twice as many parts, and the record says so.

    Args:
      config: see `benchmarks/config.py`.
      workdir: the run's folder.
      reporter: is told where the run is.
      profile_steps: from which step to which a profiler's trace is written to `workdir/profile`.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
      PreemptedError: the run was told to stop (SIGTERM) and saved; another call goes on.
    """
    run = runs.prepare(config_lib.resolved(config), workdir)
    config = run.config
    if jax.process_index() == 0:
        commands.claim_directory(run.workdir, "config.json", config_lib.to_plain(config))
    finished = runs.finished_record(run.workdir)
    if finished:
        checkpoints.delete_all(run.workdir)
        return finished
    started = runs.now()
    with (
        preemption.Notice() as notice,
        reporter or progress.create("lines", config.model) as reporter,
    ):
        accumulation = config.accumulation
        while True:
            try:
                record = execution.execute(
                    run, started, accumulation, profile_steps, notice, reporter
                )
                break
            except preemption.PreemptedError:
                raise
            except Exception as error:
                more = _next_accumulation(config, accumulation)
                if runs.out_of_memory(error) and more:
                    print(
                        f"warning: out of memory; working on each batch in {more} parts",
                        file=sys.stderr,
                        flush=True,
                    )
                    accumulation = more
                    continue
                if not isinstance(error, commands.MISTAKES):
                    traceback.print_exc()
                record = runs.failed_record(run, started, error)
                break
        if jax.process_index() == 0:
            records.write(record, run.workdir / "record.json")
            if record.status == "completed":
                checkpoints.delete_all(run.workdir)
        reporter.report(progress.Event("done" if record.status == "completed" else record.status))
    return record


def _next_accumulation(config: ConfigDict, accumulation: int) -> int | None:
    """Returns twice as many parts, where each part still has an example for each device."""
    more = 2 * accumulation
    return None if config.batch_size % (more * jax.device_count()) else more


def define_flags() -> None:
    commands.define_run_flags("The run's folder; the same command resumes it.")
    flags.DEFINE_enum(
        "progress",
        "auto",
        progress.KINDS,
        "How to tell progress: a bar, lines for a log, or JSON lines.",
    )

    processes.define_flags()
    flags.DEFINE_list("profile_steps", [], "FIRST,LAST: traces these steps into WORKDIR/profile.")


def _profile_steps(given: list[str]) -> tuple[int, int] | None:
    if not given:
        return None
    if len(given) != 2 or not all(each.isdigit() for each in given):
        raise ConfigError(f"--profile_steps is two steps, such as 10,15, not {','.join(given)!r}.")
    return int(given[0]), int(given[1])


def main() -> int:
    commands.restart_with_allocator()
    commands.use_compilation_cache()
    config = commands.given_config()
    if config.deterministic:
        commands.use_deterministic_operations()
    processes.join()
    title = models.label(*models.parse(config.model))
    try:
        record = train_and_evaluate(
            config,
            flags.FLAGS.workdir,
            reporter=progress.create(flags.FLAGS.progress, title),
            profile_steps=_profile_steps(flags.FLAGS.profile_steps),
        )
    except preemption.PreemptedError as stopped:
        print(f"{title}: {stopped}", file=sys.stderr)
        return preemption.AGAIN_STATUS
    if record.status != "completed":
        print(f"{title}: {record.status}: {record.error}", file=sys.stderr)
        return 1
    test = ", ".join(f"{name} {value:.4g}" for name, value in record.metrics.test.items())
    print(f"{title}: test {test}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    commands.run(main, define_flags)
