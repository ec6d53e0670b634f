"""What runs must have in common to share a ranking, and where they ran."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from isobudget.wording import exact
from results.records import spending
from results.records.schema import RunRecord
from results.records.settings import Settings, of_group


@dataclass(frozen=True)
class Group:
    """What two runs must have in common to share a ranking.

    Attributes:
      tuning_trials: None where records do not say how many there were.
      batch_size: None where each model has its own.
      device: named only where the budget is seconds, which mean something on one device alone; empty elsewhere, where
        runs on different machines compare.
      start: what the weights began with and what of them was trained; empty where all were drawn and trained.
      settings: every other field of the configuration but those that may differ (`results.records.settings`), by its
        path, as JSON text, sorted; without those that have their default.
    """

    dataset: str
    dataset_version: str
    train_split: str
    test_split: str
    task: str
    budget_kind: str
    budget_amount: float
    recipe: str
    tuning_trials: int | None
    batch_size: int | None
    device: str
    start: str = ""
    settings: Settings = ()

    @property
    def order(self) -> tuple[Any, ...]:
        """What groups are sorted by."""
        plain = dataclasses.asdict(self) | {"settings": (len(self.settings), self.settings)}
        return tuple(-1 if value is None else value for value in plain.values())

    def to_plain(self) -> dict[str, Any]:
        """Returns the group as JSON values, the settings by path."""
        plain = dataclasses.asdict(self)
        return plain | {"settings": {path: json.loads(text) for path, text in self.settings}}


def group_of(record: RunRecord) -> Group:
    """Returns the group whose ranking the record belongs to."""
    dataset, budget = record.dataset, record.budget
    return Group(
        dataset=dataset.name,
        dataset_version=dataset.version,
        train_split=dataset.train_split,
        test_split=dataset.test_split,
        task=dataset.task,
        budget_kind=budget.kind,
        budget_amount=budget.amount,
        recipe=record.recipe,
        tuning_trials=spending.tuning_trials(record),
        # By its paper's recipe, a model has its paper's batch size.
        batch_size=None if record.recipe == "paper" else budget.batch_size,
        device=device(record) if "seconds" in budget.kind else "",
        start=start(record),
        settings=of_group(record),
    )


def start(record: RunRecord) -> str:
    """Returns what a run's weights began with and what was trained: `from runs/a, all but the head frozen`."""
    transfer = record.config.get("transfer") or {}
    frozen, rate = transfer.get("frozen_stages"), transfer.get("backbone_learning_rate")
    source = record.config.get("init_from")
    return ", ".join(
        filter(
            None,
            (
                f"from {source}" if source else "",
                ("all but the head" if frozen == "all" else frozen) + " frozen" if frozen else "",
                f"backbone at {exact(rate)} of the learning rate" if rate not in (None, 1) else "",
            ),
        )
    )


def device(record: RunRecord) -> str:
    """Returns what the run computed on: `8 x TPU v4`; a processor by its own name and cores."""
    hardware = record.hardware
    count, kind = hardware.get("device_count") or 1, hardware.get("device_kind") or ""
    if hardware.get("platform") == "cpu" and hardware.get("cpu"):
        kind = host(record)
    return f"{count} x {kind}" if kind and count != 1 else str(kind)


def host(record: RunRecord) -> str:
    """Returns the processor of the host and its cores: `AMD EPYC 7B12, 16 cores`."""
    hardware = record.hardware
    cores = f"{hardware['cpu_cores']} cores" if hardware.get("cpu_cores") else ""
    return ", ".join(filter(None, (str(hardware.get("cpu") or ""), cores)))
