"""The record of a run, however it ends."""

import contextlib
import dataclasses
import datetime
from pathlib import Path

import models
from benchmarks.config import stored
from benchmarks.errors import DivergedError
from benchmarks.machine import environment, memory
from benchmarks.runs.plan import Run
from benchmarks.runs.requirements import needed_plugins
from results import records

# A record alone is enough to run it again, wherever it is.
_AGAIN = "python -m benchmarks.reproduce record.json"


def finished_record(workdir: Path) -> records.RunRecord | None:
    """Returns the record of the run in this folder if it completed."""
    path = records.path_in(workdir)
    record = records.read(path) if path.exists() else None
    return record if record and record.status == "completed" else None


def planned_record(run: Run, started: str, status: records.Status) -> records.RunRecord:
    """Returns as much of a run's record as is known without making the model or touching a device."""
    config = run.config
    name, options = models.parse(config.model)
    validation = config.validation_split
    return records.RunRecord(
        run_id=run.workdir.resolve().name,
        status=status,
        model=records.Model(name, options, run.setup.image_size, run.setup.num_logits),
        dataset=records.Dataset(
            name=run.dataset.name,
            version=run.dataset.version,
            task=config.task,
            train_split=config.train_split,
            validation_split=validation,
            test_split=config.test_split,
            train_examples=run.dataset.num_examples(config.train_split),
            validation_examples=run.dataset.num_examples(validation) if validation else None,
            test_examples=run.dataset.num_examples(config.test_split)
            if config.test_split
            else None,
        ),
        budget=records.Budget(
            run.budget.kind, run.budget.amount, config.batch_size, run.budget.steps
        ),
        recipe=config.recipe,
        seed=config.seed,
        command=_AGAIN,
        config=stored.to_plain(config),
        started_at=started,
        finished_at=now(),
        software=environment.software(),
        hardware={},
        git=records.Git(*environment.git()),
        init_digest=run.source.digest if run.source else None,
        plugins=tuple(
            records.Plugin(**dataclasses.asdict(each)) for each in needed_plugins(config)
        ),
    )


def with_facts(record: records.RunRecord, run: Run) -> records.RunRecord:
    """Returns the record with the model's counts and the machine added."""
    abstract = models.create_abstract(run.config.model, run.setup.num_logits)
    auxiliary = models.count_auxiliary_parameters(abstract)
    model = dataclasses.replace(
        record.model,
        parameters=models.count_parameters(abstract) - auxiliary,
        auxiliary_parameters=auxiliary,
        macs=models.count_macs(abstract, run.setup.image_size),
        activations=models.count_activations(abstract, run.setup.image_size),
        weight_bytes=models.count_weight_bytes(abstract),
    )
    return dataclasses.replace(record, model=model, hardware=environment.hardware(run.config.dtype))


def failed_record(run: Run, started: str, error: Exception) -> records.RunRecord:
    """Returns the record of a run that ended with an exception."""
    status: records.Status = "out_of_memory" if memory.is_out_of_memory(error) else "failed"
    line = (str(error).strip().splitlines() or [""])[0]
    sentence, failure = f"{type(error).__name__}: {line}", None
    if isinstance(error, DivergedError):
        status, sentence = "diverged", line
        failure = records.Failure(error.step, error.loss, error.gradient_norm)
    record = planned_record(run, started, status)
    # If the model itself cannot be made, its counts stay empty: what matters is to report the failure.
    with contextlib.suppress(Exception):
        record = with_facts(record, run)
    return dataclasses.replace(record, error=sentence, failure=failure)


def now() -> str:
    """Returns the time as a record has it: ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
