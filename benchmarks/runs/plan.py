"""What is settled about a run before it is trained: its sizes, steps, task, data and budget, in one value."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import jax
from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.config.setup import Setup, set_up
from benchmarks.runs import budget as budget_lib
from benchmarks.runs import folder, pace, validation
from benchmarks.steps import freezing
from benchmarks.weights import transfer
from input_pipeline import augmentation, datasets, device_cache, loader, seeds


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A run that can be trained, evaluated and recorded.

    Attributes:
      setup: its configuration with what follows from it.
      workdir: its folder.
      dataset: the data that it reads.
      budget: what it may spend, in steps if these are known.
      cached: its training split, decoded, if that is to be kept on the devices; see `runs/caching.py`.
      repeats: what looks at the clock told an earlier run with a budget of seconds that this one repeats; None if it
        does not.
      source: the weights that it begins with; None if all are drawn at random.
    """

    setup: Setup
    workdir: Path
    dataset: datasets.Dataset
    budget: budget_lib.Budget
    source: transfer.Source | None = None
    repeats: tuple[pace.Look, ...] | None = None
    cached: device_cache.CachedSplit | None = None

    @property
    def config(self) -> ConfigDict:
        """The resolved configuration, which its record will hold."""
        return self.setup.config

    @property
    def task(self) -> tasks.Task:
        """The task that its logits are for."""
        return self.setup.task

    @property
    def title(self) -> str:
        """The model with its options, and the seed, for people to read."""
        return f"{self.setup.model} seed {self.config.seed}"

    @property
    def logit_names(self) -> tuple[str, ...]:
        """The class that each logit stands for."""
        return self.task.logit_names(self.dataset.class_names)

    @functools.cached_property
    def train_macs(self) -> int:
        """The multiply-accumulates of training with one example, as `count_train_macs` counts them."""
        return count_train_macs(self.setup)

    @functools.cached_property
    def positive_weights(self) -> tuple[float, ...]:
        """How much more the loss of a positive weighs, for each logit; empty for 1."""
        return tasks.positive_weights(self.config, self.dataset)

    def with_steps(self, steps: int) -> "Run":
        """Returns the run with this number of steps."""
        return dataclasses.replace(self, budget=dataclasses.replace(self.budget, steps=steps))

    def repeating(self, looks: Sequence[pace.Look], steps: int) -> "Run":
        """Returns the run with the pace of an earlier one.

        Args:
          looks: see `repeats`.
          steps: how many the earlier run made.
        """
        return dataclasses.replace(self.with_steps(steps), repeats=tuple(looks))


def prepare(
    config: ConfigDict, workdir: str | Path, dataset: datasets.Dataset | None = None
) -> Run:
    """Returns one run, ready to be trained; see `prepare_all`."""
    (run,) = prepare_all([(config, Path(workdir))], dataset)
    return run


def prepare_all(
    requests: Sequence[tuple[ConfigDict, Path]], dataset: datasets.Dataset | None = None
) -> list[Run]:
    """Returns the runs, after checking everything that can be checked before training.

    No run is written and no device touched. The data is checked last: reading a dataset for the first time writes it,
    and every other mistake should show before that.

    Args:
      requests: the configuration and the folder of each run; all read the same dataset.
      dataset: the one that `config.dataset` names, if it is loaded already.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
    """
    for config, workdir in requests:
        validation.validate(config)
        folder.check_model(workdir, models.label(*models.parse(config.model)))
    sources = [transfer.source(config) for config, _ in requests]
    dataset = dataset or tasks.load_dataset(requests[0][0])
    return [
        _prepared(config, workdir, dataset, source)
        for (config, workdir), source in zip(requests, sources, strict=True)
    ]


def _prepared(
    config: ConfigDict,
    workdir: Path,
    dataset: datasets.Dataset,
    source: transfer.Source | None,
) -> Run:
    for split in _splits(config):
        dataset.num_examples(split)
    num_logits = len(tasks.TASKS[config.task].logit_names(dataset.class_names))
    setup = set_up(config, num_logits)
    costs = budget_lib.Costs(
        batch_size=config.batch_size,
        train_examples=dataset.num_examples(config.train_split),
        train_macs=count_train_macs(setup) if config.budget.kind == "flops" else None,
    )
    planned = budget_lib.plan(config.budget.kind, config.budget.amount, costs)
    return Run(setup, workdir, dataset, planned, source)


def _splits(config: ConfigDict) -> tuple[str, ...]:
    """Returns the splits that a run reads, training first."""
    named = (config.train_split, config.validation_split, config.test_split)
    return tuple(split for split in named if split)


def count_train_macs(setup: Setup) -> int:
    """Returns the multiply-accumulates of training with one example, on average over the run's parts.

    They are three times those of a forward pass, and fewer if layers are frozen.
    """
    counts = [count_train_macs_at(setup, side) for side in setup.train_sizes]
    return round(sum(counts) / len(counts))


def count_train_macs_at(setup: Setup, side: int) -> int:
    """Returns the multiply-accumulates of training with one example of this many pixels a side."""
    model = models.create_abstract(setup.config.model, setup.num_logits)
    frozen = freezing.of(setup.config)
    return models.count_train_macs(
        model,
        side,
        frozen=frozen.stages,
        is_trained=lambda path: path not in frozen.variables,
    )


def train_batches(run: Run, first: int, end: int, image_size: int) -> loader.Batches:
    """Returns this process's part of the training batches of steps `first` to `end` (exclusive), counted from 0.

    If the run has its training split `cached`, they are drawn and hold no pictures.
    """
    config = run.config
    return loader.train_batches(
        run.dataset,
        config.train_split,
        image_size=image_size,
        batch_size=config.batch_size,
        num_steps=end,
        seed=seeds.derive(config.seed, "data"),  # another text would draw another order of examples
        start_step=first,
        augmentation=augmentation.create(config.augmentation),
        num_workers=config.num_workers,
        shard_index=jax.process_index(),
        shard_count=jax.process_count(),
        max_unreadable_fraction=config.max_unreadable_fraction,
        max_pixels=config.max_pixels,
        cached=run.cached,
    )
