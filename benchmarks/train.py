"""One run: train a model under its budget, evaluate it, and write its record.

    python -m benchmarks.train --config=benchmarks/configs/digits.py --workdir=runs/one --config.model=resnet50

The same command resumes a run that was stopped. `WORKDIR/record.json` says how it ended; `metrics.jsonl` and
`tensorboard/` what happened on the way; `weights/` holds the weights of a finished run.
"""

import contextlib
import dataclasses
import datetime
import sys
import traceback
from pathlib import Path

import jax
from absl import flags
from ml_collections import ConfigDict, config_flags

import models
from benchmarks import (
    budget,
    checkpoints,
    commands,
    devices,
    environment,
    evaluation,
    loop,
    program,
    progress,
    seeds,
)
from benchmarks import config as config_lib
from benchmarks.clock import Clock
from benchmarks.metric_files import MetricFiles
from input_pipeline import datasets, loader
from results import records

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The configuration file.", lock_config=True
)
_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder; the same command resumes it.")
_PROGRESS = flags.DEFINE_enum(
    "progress",
    "auto",
    progress.KINDS,
    "How to tell progress: a bar, lines for a log, or JSON lines.",
)


@dataclasses.dataclass(frozen=True)
class Run:
    """What is settled before anything is trained."""

    config: ConfigDict
    workdir: Path
    command: str
    dataset: datasets.Dataset
    budget: budget.Budget
    image_size: int


def prepare(
    config: ConfigDict,
    workdir: str | Path,
    command: str = "",
    dataset: datasets.Dataset | None = None,
) -> Run:
    """Checks everything that can be checked before training; writes nothing and touches no device.

    Args:
      config: see `benchmarks/config.py`.
      workdir: the run's folder.
      command: what the record names as the command that runs it again.
      dataset: what `config.dataset` names, if it is loaded already.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
    """
    config_lib.validate(config)
    plan = budget.plan(config.budget.kind, config.budget.amount, config.batch_size)
    dataset = dataset or datasets.load(config.dataset, config.data_dir or None)
    for split in filter(None, (config.train_split, config.validation_split, config.test_split)):
        dataset.num_examples(split)
    # An unknown augmentation shows here, not after the model is compiled.
    loader.transforms.augmentation(config.augmentation)
    return Run(config, Path(workdir), command, dataset, plan, config_lib.image_size(config))


def train_and_evaluate(
    config: ConfigDict,
    workdir: str | Path,
    *,
    reporter: progress.Reporter | None = None,
    command: str = "",
) -> records.RunRecord:
    """Trains and evaluates one run, resuming where an earlier call was stopped, and returns its record.

    A run that was completed before is not run again. One that diverges, runs out of memory or raises is a record too,
    whose status says so.

    Args:
      config: see `benchmarks/config.py`.
      workdir: the run's folder.
      reporter: is told where the run is.
      command: what the record names as the command that runs it again.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
    """
    run = prepare(config, workdir, command)
    commands.claim_directory(run.workdir, "config.json", config_lib.to_plain(config))
    finished = finished_record(run.workdir)
    if finished:
        return finished
    started = now()
    with reporter or progress.create("lines", config.model) as reporter:
        try:
            record = _execute(run, started, reporter)
        except Exception as error:
            traceback.print_exc()
            record = _failed_record(run, started, error)
        records.write(record, run.workdir / "record.json")
        reporter.report(progress.Event("done" if record.status == "completed" else record.status))
    return record


def _execute(run: Run, started: str, reporter: progress.Reporter) -> records.RunRecord:
    config, num_steps, num_classes = run.config, run.budget.steps, run.dataset.num_classes
    mesh = devices.create_mesh()
    with checkpoints.Checkpoints(run.workdir) as saved:
        restored = saved.restore_latest(
            program.abstract_state(config, num_classes, num_steps, mesh)
        )
        if restored:
            state, earlier = restored
            start_step, clock = saved.latest_step(), Clock(earlier)
        else:
            start_step, clock = 0, Clock()
            state = program.initial_state(config, num_classes, num_steps, mesh)
        reporter.report(progress.Event("compiling", step=start_step, steps=num_steps))
        with clock.measure("compile"):
            compiled = program.compile_program(config, num_classes, num_steps, mesh)
        batches = loader.train_batches(
            run.dataset,
            config.train_split,
            image_size=run.image_size,
            batch_size=config.batch_size,
            num_steps=num_steps,
            seed=seeds.derive(config.seed, "data"),
            start_step=start_step,
            augmentation=config.augmentation,
            num_workers=config.num_workers,
            shard_index=jax.process_index(),
            shard_count=jax.process_count(),
        )
        schedule = loop.Schedule(
            start_step=start_step,
            num_steps=num_steps,
            batch_size=config.batch_size,
            log_every_steps=config.log_every_steps,
            checkpoint_every_steps=config.checkpoint_every_steps,
        )
        with MetricFiles(run.workdir, start_step) as files:
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
                metrics, infer_speed = _evaluate(run, compiled, params, batch_stats)
            for split, values in metrics.items():
                files.write(num_steps, {f"{split}/{name}": value for name, value in values.items()})
        digest = checkpoints.weights_digest(params, batch_stats)
        checkpoints.save_weights(run.workdir, params, batch_stats)
        record = dataclasses.replace(
            _with_facts(planned_record(run, started, "completed"), run),
            metrics=records.Metrics(**metrics),
            timings=_timings(clock),
            throughput=records.Throughput(
                train_images_per_second=run.budget.examples / clock["train"],
                infer_images_per_second=infer_speed,
            ),
            weights_digest=digest,
        )
        record = _with_spending(record, run, clock)
        saved.delete_all()
    return record


def _evaluate(run: Run, compiled: program.Program, params, batch_stats):
    """Returns the metrics by split, the test split's last and once, and the inference speed in images per second."""
    splits = {"validation": run.config.validation_split, "test": run.config.test_split}
    metrics = {}
    first_batch = None
    for name, split in splits.items():
        if not split:
            continue
        batches = loader.eval_batches(
            run.dataset,
            split,
            image_size=run.image_size,
            batch_size=program.eval_batch_size(run.config),
            crop_fraction=run.config.crop_fraction,
            num_workers=run.config.num_workers,
            shard_index=jax.process_index(),
            shard_count=jax.process_count(),
        )
        placed = devices.placed(batches, compiled.mesh)
        if first_batch is None:
            first_batch = next(placed)
            placed = _chain(first_batch, placed)
        metrics[name] = evaluation.evaluate(compiled.eval_step, params, batch_stats, placed)
    speed = evaluation.images_per_second(compiled.eval_step, params, batch_stats, first_batch)
    return metrics, speed


def finished_record(workdir: Path) -> records.RunRecord | None:
    """Returns the record of the run in this folder if it completed."""
    path = workdir / "record.json"
    record = records.read(path) if path.exists() else None
    return record if record and record.status == "completed" else None


def planned_record(run: Run, started: str, status: str) -> records.RunRecord:
    """Returns the record of a run as far as it is known without making the model or touching a device."""
    config = run.config
    name, options = models.parse(config.model)
    validation = config.validation_split
    return records.RunRecord(
        run_id=run.workdir.resolve().name,
        status=status,
        model=records.Model(name, options, run.image_size, run.dataset.num_classes),
        dataset=records.Dataset(
            name=run.dataset.name,
            version=run.dataset.version,
            task=config.task,
            train_split=config.train_split,
            validation_split=validation,
            test_split=config.test_split,
            train_examples=run.dataset.num_examples(config.train_split),
            validation_examples=run.dataset.num_examples(validation) if validation else None,
            test_examples=run.dataset.num_examples(config.test_split),
        ),
        budget=records.Budget(
            run.budget.kind, run.budget.amount, run.budget.batch_size, run.budget.steps
        ),
        recipe=config.recipe,
        seed=config.seed,
        command=run.command,
        config=config_lib.to_plain(config),
        started_at=started,
        finished_at=now(),
        software=environment.software(),
        hardware={},
        git=records.Git(*environment.git()),
    )


def _with_facts(record: records.RunRecord, run: Run) -> records.RunRecord:
    """Adds the model's counts and the machine."""
    abstract = models.create_abstract(run.config.model, run.dataset.num_classes)
    auxiliary = models.count_auxiliary_parameters(abstract)
    model = dataclasses.replace(
        record.model,
        parameters=models.count_parameters(abstract) - auxiliary,
        auxiliary_parameters=auxiliary,
        macs=models.count_macs(abstract, run.image_size),
    )
    return dataclasses.replace(record, model=model, hardware=environment.hardware())


def _with_spending(record: records.RunRecord, run: Run, clock: Clock) -> records.RunRecord:
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


def _failed_record(run: Run, started: str, error: Exception) -> records.RunRecord:
    """The record of a run that ended with an exception."""
    if isinstance(error, loop.DivergedError):
        status = "diverged"
        failure = records.Failure(error.step, error.loss, error.gradient_norm)
    else:
        out_of_memory = isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
        status, failure = ("out_of_memory" if out_of_memory else "failed"), None
    first_line = (str(error).strip().splitlines() or [""])[0]
    sentence = first_line if status == "diverged" else f"{type(error).__name__}: {first_line}"
    record = planned_record(run, started, status)
    # Where the model itself cannot be made, its counts stay empty: the failure is what is to be told.
    with contextlib.suppress(Exception):
        record = _with_facts(record, run)
    return dataclasses.replace(record, error=sentence, failure=failure)


def now() -> str:
    """Returns the time as a record has it: ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _chain(first, rest):
    yield first
    yield from rest


def main() -> int:
    commands.restart_with_allocator()
    commands.use_compilation_cache()
    config = _CONFIG.value
    title = models.label(*models.parse(config.model))
    record = train_and_evaluate(
        config,
        _WORKDIR.value,
        reporter=progress.create(_PROGRESS.value, title),
        command=environment.command(),
    )
    if record.status != "completed":
        print(f"{title}: {record.status}: {record.error}", file=sys.stderr)
        return 1
    test = ", ".join(f"{name} {value:.4f}" for name, value in record.metrics.test.items())
    print(f"{title}: test {test}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    commands.run(main, required=("config", "workdir"))
