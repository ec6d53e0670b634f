"""What is settled about a run before it is trained, and the record of it whatever happens."""

import contextlib
import dataclasses
import datetime
from pathlib import Path

from ml_collections import ConfigDict

import models
from benchmarks import budget, environment
from benchmarks import config as config_lib
from benchmarks.loop import DivergedError
from input_pipeline import datasets
from results import records

# A record is all that is needed to run it again, wherever it lies.
_AGAIN = (
    "python -m benchmarks.train --config=benchmarks/configs/from_json.py:record.json --workdir=DIR"
)


@dataclasses.dataclass(frozen=True)
class Run:
    """What is settled before anything is trained."""

    config: ConfigDict
    workdir: Path
    dataset: datasets.Dataset
    budget: budget.Budget
    image_size: int


def prepare(
    config: ConfigDict,
    workdir: str | Path,
    dataset: datasets.Dataset | None = None,
) -> Run:
    """Checks everything that can be checked before training; writes nothing and touches no device.

    Args:
      config: see `benchmarks/config.py`.
      workdir: the run's folder.
      dataset: what `config.dataset` names, if it is loaded already.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
    """
    config_lib.validate(config)
    plan = budget.plan(config.budget.kind, config.budget.amount, config.batch_size)
    dataset = dataset or datasets.load(config.dataset, config.data_dir or None)
    for split in filter(None, (config.train_split, config.validation_split, config.test_split)):
        dataset.num_examples(split)
    return Run(config, Path(workdir), dataset, plan, config_lib.image_size(config))


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
        command=_AGAIN,
        config=config_lib.to_plain(config),
        started_at=started,
        finished_at=now(),
        software=environment.software(),
        hardware={},
        git=records.Git(*environment.git()),
    )


def with_facts(record: records.RunRecord, run: Run) -> records.RunRecord:
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


def failed_record(run: Run, started: str, error: Exception) -> records.RunRecord:
    """The record of a run that ended with an exception."""
    if isinstance(error, DivergedError):
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
        record = with_facts(record, run)
    return dataclasses.replace(record, error=sentence, failure=failure)


def now() -> str:
    """Returns the time as a record has it: ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
