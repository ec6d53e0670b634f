"""One run: train a model under its budget, evaluate it, and write its record.

    python -m benchmarks.train --config=benchmarks/configs/digits.py --workdir=runs/one --config.model=resnet50

The same command resumes a run that was stopped. `WORKDIR/record.json` says how it ended; `metrics.jsonl` and
`tensorboard/` what happened on the way; `weights/` holds the weights of a finished run.
"""

import concurrent.futures
import contextlib
import dataclasses
import sys
import traceback
from pathlib import Path

import jax
from absl import flags
from ml_collections import ConfigDict

import models
from benchmarks import (
    budget,
    calibration,
    checkpoints,
    commands,
    devices,
    evaluation,
    loop,
    preemption,
    processes,
    program,
    progress,
    runs,
    steps,
)
from benchmarks import config as config_lib
from benchmarks.clock import Clock
from benchmarks.errors import ConfigError
from benchmarks.metric_files import MetricFiles, NoFiles
from input_pipeline import loader
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
                record = _execute(run, started, accumulation, profile_steps, notice, reporter)
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


def _execute(
    run: runs.Run,
    started: str,
    accumulation: int,
    profile_steps: tuple[int, int] | None,
    notice: preemption.Notice,
    reporter: progress.Reporter,
) -> records.RunRecord:
    config, num_classes = run.config, run.dataset.num_classes
    mesh = devices.create_mesh()
    with checkpoints.Checkpoints(run.workdir) as saved:
        restored = saved.restore_latest(program.abstract_state(config, num_classes, mesh))
        start_step, state, seconds = restored or (0, None, None)
        del restored
        clock = Clock(seconds)
        reporter.report(progress.Event("compiling", step=start_step))
        # Weights are drawn while XLA compiles: for a large network either takes seconds.
        with concurrent.futures.ThreadPoolExecutor(1) as pool, clock.measure("compile"):
            compiling = pool.submit(
                program.compile_program, config, num_classes, mesh, accumulation
            )
            if state is None:
                state = program.initial_state(config, num_classes, run.budget.steps or 1, mesh)
            compiled = compiling.result()
        if run.budget.steps is None:
            reporter.report(progress.Event("calibrating"))
            run, state = calibration.calibrate(run, compiled, state, start_step)
        schedule = loop.Schedule(
            start_step=start_step,
            num_steps=run.budget.steps,
            part_ends=loop.part_ends(config_lib.train_sizes(config), run.budget.steps),
            batch_size=config.batch_size,
            log_every_steps=config.log_every_steps,
            checkpoint_every_steps=config.checkpoint_every_steps,
            profile_steps=profile_steps,
            profile_dir=run.workdir / "profile",
        )
        readers: list[loader.Batches] = []

        def read(first: int, end: int, size: int) -> loader.Batches:
            readers.append(runs.train_batches(run, first, end, size))
            return readers[-1]

        with _metric_files(run.workdir, start_step) as files:
            state = loop.train(
                compiled,
                state,
                read,
                schedule,
                clock=clock,
                files=files,
                checkpoints=saved,
                reporter=reporter,
                notice=notice,
            )
            reporter.report(
                progress.Event("evaluating", step=run.budget.steps, steps=run.budget.steps)
            )
            params, batch_stats = steps.final_weights(state)
            del state  # the optimiser's half of the memory
            with clock.measure("evaluation"):
                metrics, infer_speed, unreadable = _evaluate(run, compiled, params, batch_stats)
            for split, values in metrics.items():
                named = {f"{split}/{name}": value for name, value in values.items()}
                files.write(run.budget.steps, named)
        digest = checkpoints.weights_digest(params, batch_stats)
        checkpoints.save_weights(run.workdir, params, batch_stats)
        record = dataclasses.replace(
            runs.with_facts(runs.planned_record(run, started, "completed"), run),
            metrics=records.Metrics(**metrics),
            timings=_timings(clock),
            throughput=records.Throughput(
                train_images_per_second=run.budget.examples / clock["train"],
                infer_images_per_second=infer_speed,
            ),
            weights_digest=digest,
            unreadable_examples={"train": sum(len(each.faults) for each in readers)} | unreadable,
            accumulation=accumulation,
        )
        record = _with_spending(record, run, clock)
    return record


def _metric_files(workdir: Path, start_step: int) -> MetricFiles | NoFiles:
    return MetricFiles(workdir, start_step) if jax.process_index() == 0 else NoFiles()


def _evaluate(run: runs.Run, compiled: program.Program, params, batch_stats):
    """Returns, the test split being read last and once: metrics by split, images per second, unreadable examples by
    split."""
    splits = {"validation": run.config.validation_split, "test": run.config.test_split}
    metrics, unreadable = {}, {}
    first_batch = None
    for name, split in splits.items():
        if not split:
            continue
        with contextlib.closing(evaluation.batches(run.config, run.dataset, split)) as batches:
            placed = devices.placed(batches, compiled.mesh)
            if first_batch is None:
                first_batch = next(placed)
                placed = _chain(first_batch, placed)
            metrics[name] = evaluation.evaluate(compiled.eval_step, params, batch_stats, placed)
            unreadable[name] = len(batches.faults)
    speed = evaluation.images_per_second(compiled.eval_step, params, batch_stats, first_batch)
    return metrics, speed, unreadable


def _with_spending(record: records.RunRecord, run: runs.Run, clock: Clock) -> records.RunRecord:
    spent = dataclasses.replace(
        record.budget,
        examples_spent=run.budget.examples,
        train_flops_spent=float(
            budget.train_flops(
                runs.train_macs(run.config, run.dataset.num_classes), run.budget.examples
            )
        ),
        train_seconds_spent=clock["train"],
    )
    return dataclasses.replace(record, budget=spent)


def _timings(clock: Clock) -> records.Timings:
    return records.Timings(
        **{f"{name}_seconds": seconds for name, seconds in clock.seconds().items()}
    )


def _chain(first, rest):
    yield first
    yield from rest


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
    processes.join()
    config = flags.FLAGS.config
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
