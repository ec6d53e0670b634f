"""What is settled about a run before it is trained, and the record of it whatever happens."""

import contextlib
import dataclasses
import datetime
from pathlib import Path

import jax
from ml_collections import ConfigDict

import models
from benchmarks import budget, environment, freezing, tasks, transfer, validation
from benchmarks import config as config_lib
from benchmarks.loop import DivergedError
from input_pipeline import augmentation, datasets, loader, seeds
from results import records

# A record is all that is needed to run it again, wherever it lies.
_AGAIN = "python -m benchmarks.reproduce record.json"


@dataclasses.dataclass(frozen=True)
class Run:
    """What is settled before anything is trained; `source` is what its weights begin with."""

    config: ConfigDict
    workdir: Path
    dataset: datasets.Dataset
    budget: budget.Budget
    image_size: int
    source: transfer.Source | None = None

    @property
    def task(self) -> tasks.Task:
        """What the run's logits are for."""
        return tasks.TASKS[self.config.task]

    @property
    def logit_names(self) -> tuple[str, ...]:
        """Which class each logit speaks for."""
        return self.task.logit_names(self.dataset.class_names)

    @property
    def num_logits(self) -> int:
        """The outputs of the model's head."""
        return len(self.logit_names)


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
    validation.validate(config)
    source = transfer.source(config)
    dataset = dataset or tasks.load_dataset(config)
    for split in filter(None, (config.train_split, config.validation_split, config.test_split)):
        dataset.num_examples(split)
    plan = budget.plan(config.budget.kind, config.budget.amount, _costs(config, dataset))
    return Run(config, Path(workdir), dataset, plan, config_lib.image_size(config), source)


def _costs(config: ConfigDict, dataset: datasets.Dataset) -> budget.Costs:
    by_flops = config.budget.kind == "flops"
    num_logits = len(tasks.TASKS[config.task].logit_names(dataset.class_names))
    return budget.Costs(
        batch_size=config.batch_size,
        train_examples=dataset.num_examples(config.train_split),
        train_macs=train_macs(config, num_logits) if by_flops else None,
    )


def train_macs(config: ConfigDict, num_logits: int) -> int:
    """Returns the multiply-accumulates of training with one example, on average over the run's parts.

    Those of a forward pass in training three times over, and where layers are frozen less often.
    """
    model = models.create_abstract(config.model, num_logits)
    frozen = freezing.of(config)
    counts = [
        models.count_train_macs(
            model,
            side,
            frozen=frozen.stages,
            is_trained=lambda path: path not in frozen.variables,
        )
        for side in config_lib.train_sizes(config)
    ]
    return round(sum(counts) / len(counts))


def train_batches(run: Run, first: int, end: int, image_size: int) -> loader.Batches:
    """Returns this process's part of the training batches of steps `first` to `end` (exclusive), counted from 0."""
    config = run.config
    return loader.train_batches(
        run.dataset,
        config.train_split,
        image_size=image_size,
        batch_size=config.batch_size,
        num_steps=end,
        seed=seeds.derive(config.seed, "data"),
        start_step=first,
        augmentation=augmentation.create(config.augmentation),
        num_workers=config.num_workers,
        shard_index=jax.process_index(),
        shard_count=jax.process_count(),
        max_unreadable_fraction=config.max_unreadable_fraction,
    )


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
        model=records.Model(name, options, run.image_size, run.num_logits),
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
        config=config_lib.to_plain(config),
        started_at=started,
        finished_at=now(),
        software=environment.software(),
        hardware={},
        git=records.Git(*environment.git()),
        init_digest=run.source.digest if run.source else None,
    )


def with_facts(record: records.RunRecord, run: Run) -> records.RunRecord:
    """Adds the model's counts and the machine."""
    abstract = models.create_abstract(run.config.model, run.num_logits)
    auxiliary = models.count_auxiliary_parameters(abstract)
    model = dataclasses.replace(
        record.model,
        parameters=models.count_parameters(abstract) - auxiliary,
        auxiliary_parameters=auxiliary,
        macs=models.count_macs(abstract, run.image_size),
        activations=models.count_activations(abstract, run.image_size),
        weight_bytes=models.count_weight_bytes(abstract),
    )
    return dataclasses.replace(record, model=model, hardware=environment.hardware(run.config.dtype))


def out_of_memory(error: Exception) -> bool:
    """Says whether an exception is about memory, the host's or a device's."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def failed_record(run: Run, started: str, error: Exception) -> records.RunRecord:
    """The record of a run that ended with an exception."""
    if isinstance(error, DivergedError):
        status = "diverged"
        failure = records.Failure(error.step, error.loss, error.gradient_norm)
    else:
        status, failure = ("out_of_memory" if out_of_memory(error) else "failed"), None
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
