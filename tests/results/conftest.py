"""A plausible record, and the way to change one field of it."""

import dataclasses
from collections.abc import Callable

import pytest

from results.records import Budget, Dataset, Git, Metrics, Model, RunRecord, Throughput, Timings


def make_record(run_id="resnet18-0", **changes) -> RunRecord:
    record = RunRecord(
        run_id=run_id,
        status="completed",
        model=Model("resnet18", {}, 32, 10, 11_173_962, 0, 37_000_000),
        dataset=Dataset(
            "digits", "1.0.0", "classification", "train", "val", "test", 1200, 297, 300
        ),
        budget=Budget("examples", 12_000, 64, 188, 12_032, 2.7e12, 8.5),
        recipe="common",
        seed=0,
        command="python -m benchmarks.train --config=digits.py",
        config={"optimizer": {"name": "sgd", "betas": [0.9, 0.999]}, "clip": None},
        started_at="2025-01-01T00:00:00+00:00",
        finished_at="2025-01-01T00:01:00Z",
        software={"jax": "0.10.2"},
        hardware={"platform": "cpu", "device_kind": "cpu", "device_count": 1},
        metrics=Metrics({"top1": 0.95}, {"top1": 0.94, "top5": 1.0, "examples": 300.0}),
        timings=Timings(8.5, 3.0, 0.5, 0.1, 12.5),
        throughput=Throughput(1400.0, 5000.0),
        git=Git("0" * 40, False),
        weights_digest="ab" * 32,
    )
    return dataclasses.replace(record, **changes)


@pytest.fixture
def make() -> Callable[..., RunRecord]:
    """Returns a function from changed fields to a record of a completed run."""
    return make_record


@pytest.fixture
def run(make):
    """Returns a function from a model's name, seed and test top-1 to the record of its run."""

    def run(name, seed, top1=None, options=None, **changes):
        changes.setdefault("metrics", Metrics({}, {"top1": top1, "top5": 1.0, "loss": 0.25}))
        run_id = changes.pop("run_id", f"{name}-{seed}")
        model = Model(name, options or {}, 32, 10, 1_234_567, 0, 37_000_000)
        return make(run_id, model=model, seed=seed, **changes)

    return run
