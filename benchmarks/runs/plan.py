"""What is settled about a run before it is trained, and the record of it whatever happens."""

import dataclasses
from pathlib import Path

import jax
from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.config import derived
from benchmarks.runs import budget, validation
from benchmarks.steps import freezing
from benchmarks.weights import transfer
from input_pipeline import augmentation, datasets, loader, seeds


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
    return Run(config, Path(workdir), dataset, plan, derived.image_size(config), source)


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
        for side in derived.train_sizes(config)
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
