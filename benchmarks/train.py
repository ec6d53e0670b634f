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
    checkpoints,
    commands,
    devices,
    evaluation,
    loop,
    program,
    progress,
    runs,
)
from benchmarks import config as config_lib
from benchmarks.clock import Clock
from benchmarks.metric_files import MetricFiles
from input_pipeline import augmentation, loader, seeds
from results import records


def train_and_evaluate(
    config: ConfigDict,
    workdir: str | Path,
    *,
    reporter: progress.Reporter | None = None,
) -> records.RunRecord:
    """Trains and evaluates one run, resuming where an earlier call was stopped, and returns its record.

    A run that was completed before is not run again. One that diverges, runs out of memory or raises is a record too,
    whose status says so.

    Args:
      config: see `benchmarks/config.py`.
      workdir: the run's folder.
      reporter: is told where the run is.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
    """
    run = runs.prepare(config, workdir)
    commands.claim_directory(run.workdir, "config.json", config_lib.to_plain(config))
    finished = runs.finished_record(run.workdir)
    if finished:
        return finished
    started = runs.now()
    with reporter or progress.create("lines", config.model) as reporter:
        try:
            record = _execute(run, started, reporter)
        except Exception as error:
            if not isinstance(error, commands.MISTAKES):
                traceback.print_exc()
            record = runs.failed_record(run, started, error)
        records.write(record, run.workdir / "record.json")
        reporter.report(progress.Event("done" if record.status == "completed" else record.status))
    return record


def _execute(run: runs.Run, started: str, reporter: progress.Reporter) -> records.RunRecord:
    config, num_steps, num_classes = run.config, run.budget.steps, run.dataset.num_classes
    mesh = devices.create_mesh()
    with checkpoints.Checkpoints(run.workdir) as saved:
        restored = saved.restore_latest(
            program.abstract_state(config, num_classes, num_steps, mesh)
        )
        start_step, clock = 0, Clock()
        if restored:
            start_step, clock = saved.latest_step(), Clock(restored[1])
        reporter.report(progress.Event("compiling", step=start_step, steps=num_steps))
        # Weights are drawn while XLA compiles: for a large network either takes seconds.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            compiling = pool.submit(program.compile_program, config, num_classes, num_steps, mesh)
            with clock.measure("compile"):
                state = (
                    restored[0]
                    if restored
                    else program.initial_state(config, num_classes, num_steps, mesh)
                )
                compiled = compiling.result()
        del restored
        schedule = loop.Schedule(
            start_step=start_step,
            num_steps=num_steps,
            batch_size=config.batch_size,
            log_every_steps=config.log_every_steps,
            checkpoint_every_steps=config.checkpoint_every_steps,
        )
        with (
            contextlib.closing(_train_batches(run, start_step)) as batches,
            MetricFiles(run.workdir, start_step) as files,
        ):
            state = loop.train(
                compiled,
                state,
                batches,
                schedule,
                clock=clock,
                files=files,
                checkpoints=saved,
                reporter=reporter,
            )
            reporter.report(progress.Event("evaluating", step=num_steps, steps=num_steps))
            params, batch_stats = state["params"], state["batch_stats"]
            del state  # the optimiser's half of the memory
            with clock.measure("evaluation"):
                metrics, infer_speed, unreadable = _evaluate(run, compiled, params, batch_stats)
            for split, values in metrics.items():
                files.write(num_steps, {f"{split}/{name}": value for name, value in values.items()})
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
            unreadable_examples={"train": len(batches.faults)} | unreadable,
        )
        record = _with_spending(record, run, clock)
        saved.delete_all()
    return record


def _train_batches(run: runs.Run, start_step: int) -> loader.Batches:
    """Returns this process's part of the batches from `start_step` to the end."""
    config = run.config
    return loader.train_batches(
        run.dataset,
        config.train_split,
        image_size=run.image_size,
        batch_size=config.batch_size,
        num_steps=run.budget.steps,
        seed=seeds.derive(config.seed, "data"),
        start_step=start_step,
        augmentation=augmentation.create(config.augmentation),
        num_workers=config.num_workers,
        shard_index=jax.process_index(),
        shard_count=jax.process_count(),
        max_unreadable_fraction=config.max_unreadable_fraction,
    )


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
        train_flops_spent=float(budget.train_flops(record.model.macs, run.budget.examples)),
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


def main() -> int:
    commands.restart_with_allocator()
    commands.use_compilation_cache()
    config = flags.FLAGS.config
    title = models.label(*models.parse(config.model))
    record = train_and_evaluate(
        config,
        flags.FLAGS.workdir,
        reporter=progress.create(flags.FLAGS.progress, title),
    )
    if record.status != "completed":
        print(f"{title}: {record.status}: {record.error}", file=sys.stderr)
        return 1
    test = ", ".join(f"{name} {value:.4g}" for name, value in record.metrics.test.items())
    print(f"{title}: test {test}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    commands.run(main, define_flags)
