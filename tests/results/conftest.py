"""A plausible record, the way to change one field of it, and whole folders of runs with learning curves."""

import dataclasses
import json
import math
import random
import runpy
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from absl import flags

from results import records
from results.records import (
    Budget,
    Dataset,
    Failure,
    Git,
    Metrics,
    Model,
    RunRecord,
    Throughput,
    Timings,
    layout,
)


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


def write_predictions(record: RunRecord, folder: Path, correct, index=None) -> Path:
    """Writes a single-label run's record and predictions under `folder`/runs; returns where the predictions lie.

    Args:
      record: the run's; its top-1 should be the mean of `correct`.
      folder: of the suite.
      correct: whether each test example is decided rightly, bool [examples].
      index: places of the examples in the split; in order by default.
    """
    path = records.record_path(folder, record.run_id)
    records.write(record, path)
    path = layout.predictions_in(path.parent, "test")
    path.parent.mkdir(exist_ok=True)
    index = np.arange(len(correct)) if index is None else np.asarray(index)
    label = index % record.model.num_classes
    predicted = np.where(correct, label, (label + 1) % record.model.num_classes)
    confidence = np.full(len(correct), 0.5, np.float32)
    np.savez(path, index=index, label=label, predicted=predicted, confidence=confidence)
    return path


@pytest.fixture(scope="session", name="write_predictions")
def write_predictions_():
    """Returns `write_predictions`: writes a record, with what its run predicted beside it."""
    return write_predictions


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


# name, options, parameters, MACs, top-1 it tends to, training images per second
MODELS = (
    ("alexnet", {}, 57_044_810, 94_089_920, 0.962, 139.0),
    ("vgg16", {}, 134_301_514, 432_775_168, 0.982, 53.0),
    ("vgg19", {}, 139_611_210, 517_709_824, 0.980, 39.6),
    ("googlenet", {}, 5_610_154, 30_568_448, 0.986, 375.0),
    ("inception_v3", {}, 21_805_770, 120_300_000, 0.984, 96.0),
    ("resnet18", {}, 11_181_642, 37_113_088, 0.978, 640.0),
    ("resnet50", {}, 23_528_522, 83_431_424, 0.981, 209.0),
    ("resnet152", {}, 58_164_298, 234_500_000, 0.979, 61.0),
    ("squeezenet1_1", {}, 727_626, 2_995_904, 0.919, 2988.0),
    ("mobilenet_v1", {"width": 0.25}, 215_642, 834_688, 0.951, 2878.0),
    ("mobilenet_v1", {"width": 0.5}, 823_722, 3_045_632, 0.966, 1731.0),
    ("mobilenet_v1", {}, 3_217_226, 11_596_288, 0.970, 761.0),
    ("mobilenet_v2", {}, 2_236_682, 6_900_000, 0.972, 690.0),
    ("mobilenet_v3_large", {}, 4_214_842, 5_400_000, 0.968, 820.0),
)


def curve(steps: int, points: int, top1: float, seconds: float, chance: random.Random) -> str:
    """Returns the text of a `metrics.jsonl`."""
    lines = []
    for i in range(1, points + 1):
        done = i / points
        loss = 2.3 * math.exp(-5 * done) + (1.02 - top1) * 8 * (0.9 + 0.2 * chance.random())
        seen = top1 * (1 - math.exp(-6 * done)) * (0.98 + 0.02 * chance.random())
        step, spent = round(steps * done), round(seconds * done, 3)
        line = {"step": step, "train/loss": loss, "train/top1": seen, "train_seconds": spent}
        lines.append(json.dumps(line))
        if i % max(points // 5, 1) == 0:
            line = {"step": step, "validation/top1": seen * 0.99, "validation/loss": loss * 1.05}
            lines.append(json.dumps(line))
    return "\n".join(lines) + "\n"


def generate(models=MODELS, seeds=3, failures=True, seed=0):
    """Yields the records of `seeds` runs of each model; some diverge or run out of memory."""
    chance = random.Random(seed)
    for name, options, parameters, macs, top1, speed in models:
        model = Model(name, options, 32, 10, parameters, 0, macs)
        for run_seed in range(seeds):
            faster = speed * chance.uniform(0.95, 1.05)
            score = min(1.0, top1 + chance.gauss(0, 0.004))
            budget = Budget(
                "examples", 12_000, 64, 188, 12_032, 6.0 * macs * 12_032, 12_032 / faster
            )
            record = make_record(
                f"{model.label.replace(':', '-').replace(',', '-')}-seed{run_seed}",
                model=model,
                seed=run_seed,
                budget=budget,
                metrics=Metrics({"top1": score}, {"top1": score, "top5": 0.999, "loss": 0.1}),
                timings=Timings(12_032 / faster, 8.0, 1.0, 0.2, 12_032 / faster + 10),
                throughput=Throughput(faster, 7 * faster),
                hardware={
                    "platform": "cpu",
                    "device_kind": "cpu",
                    "cpu": "AMD EPYC",
                    "cpu_cores": 2,
                },
            )
            if failures and name == "resnet152":
                failed = {"status": "diverged", "failure": Failure(40 + run_seed, float("nan"))}
                record = dataclasses.replace(
                    record, metrics=Metrics(), error="The loss is NaN at step 40.", **failed
                )
            if failures and name == "vgg19" and run_seed == 1:
                error = "Out of memory: 2.1 GiB for one buffer, and 1.9 GiB were free."
                record = dataclasses.replace(
                    record, metrics=Metrics(), status="out_of_memory", error=error
                )
            yield record


def write_runs(run_records, folder: Path, points=50) -> list[RunRecord]:
    """Writes the records and their curves under `folder`/runs, and returns the records."""
    run_records = list(run_records)
    chance = random.Random(1)
    for record in run_records:
        path = records.record_path(folder, record.run_id)
        records.write(record, path)
        top1 = record.metrics.test.get("top1", 0.5)
        text = curve(record.budget.steps, points, top1, record.timings.train_seconds, chance)
        layout.metrics_in(path.parent).write_text(text)
    return run_records


@pytest.fixture(scope="session")
def generated():
    """Returns `generate`: records of plausible runs, some failed; the same for the same arguments."""
    return generate


@pytest.fixture(scope="session")
def models_of_many_sizes():
    """The models that `generated` takes by default, to make others of."""
    return MODELS


@pytest.fixture(scope="session")
def write_with_curves():
    """Returns `write_runs`: writes records, with a `metrics.jsonl` beside each, under a folder."""
    return write_runs


@pytest.fixture(scope="session", name="make_record")
def make_record_():
    """Like `make`, for fixtures that several tests share."""
    return make_record


@pytest.fixture
def command_here(monkeypatch, capsys):
    """Runs `python -m results...` in the tests' own process, which has imported most of it; returns what it said."""

    def run(module: str, *arguments) -> subprocess.CompletedProcess:
        monkeypatch.setattr(sys, "argv", [module, *map(str, arguments)])
        before = set(flags.FLAGS)
        capsys.readouterr()
        status = 0
        try:
            with warnings.catch_warnings():
                # The tests have imported most of these modules.
                warnings.filterwarnings("ignore", "'results.* found in sys.modules", RuntimeWarning)
                runpy.run_module(module, run_name="__main__")
        except SystemExit as ended:
            status = ended.code or 0
        finally:
            for name in set(flags.FLAGS) - before:
                delattr(flags.FLAGS, name)
        said = capsys.readouterr()
        return subprocess.CompletedProcess([module, *arguments], status, said.out, said.err)

    return run
