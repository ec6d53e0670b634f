"""A board of published runs, bundles to submit to it, and large boards of runs that nobody made."""

import dataclasses
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from results import board, records
from results.audit import Options, submission
from results.board import accepting, entries, kept, layout
from results.bundles import manifest, write

RECORD = "record.json"
# What stands in the first bundle of `fill`, for that of each.
NAME, TOP1, WEIGHTS, DIGEST = "net-----", 0.98765, "ab" * 32, "cd" * 32
RUNS = Path(__file__).parents[3] / "results" / "published" / "digits" / "runs"
RULES = """
title = "Digits, <8,000> examples & more"
dataset = "digits"
seeds = [0]

[budget]
kind = "examples"
amount = 8000

[[divisions]]
name = "common"
recipe = "common"

[[divisions]]
name = "open"
plugins = ["*"]
"""


@pytest.fixture(scope="session")
def rules_text() -> str:
    """The rules of `folder`."""
    return RULES


@pytest.fixture
def folder(tmp_path) -> Path:
    """A board without bundles, for rows of one seed."""
    (tmp_path / "rules.toml").write_text(RULES)
    board.create(tmp_path / "board", tmp_path / "rules.toml")
    return tmp_path / "board"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Callable[..., Path]:
    """Returns a function from run ids to a bundle of these published runs."""
    made = tmp_path_factory.mktemp("bundles")

    def bundle(*run_ids: str) -> Path:
        path = made / f"{'+'.join(run_ids)}.zip"
        if not path.exists():
            write.write([RUNS / run_id for run_id in run_ids], path)
        return path

    return bundle


@pytest.fixture
def change(tmp_path) -> Callable[..., Path]:
    """Returns a function from a published run and changed fields of its record to a bundle of it."""

    def change(name: str, **changes) -> Path:
        record = dataclasses.replace(records.read(RUNS / name / RECORD), **changes)
        run = Path(shutil.copytree(RUNS / name, tmp_path / "changed" / record.run_id))
        records.write(record, run / RECORD)
        write.write([run], tmp_path / f"{record.run_id}.zip")
        return tmp_path / f"{record.run_id}.zip"

    return change


@pytest.fixture
def add() -> Callable[..., accepting.Outcome]:
    """Returns a function that adds a bundle to a board on a day, audited without models."""

    def add(
        folder: Path, path: Path, day: str = "2026-01-01", by: str = "Ada"
    ) -> accepting.Outcome:
        how = Options(board=entries.read_rules(folder), with_models=False, workers=1)
        known = accepting.fingerprints(folder)
        return board.accept(folder, path, how, kept.acceptance(by, day), known)

    return add


@pytest.fixture(scope="session")
def fill() -> Callable[[Path, int], None]:
    """Returns a function that puts so many bundles of one run each, without predictions, on a board."""

    def fill(folder: Path, count: int) -> None:
        first = records.read(RUNS / "squeezenet1_1-seed0" / RECORD)
        record = dataclasses.replace(
            first,
            run_id=f"{NAME}-seed0",
            model=dataclasses.replace(first.model, name=NAME),
            config={**first.config, "model": NAME},
            metrics=dataclasses.replace(first.metrics, test={**first.metrics.test, "top1": TOP1}),
            weights_digest=WEIGHTS,
        )
        text = records.to_json(record)
        path = folder / "first.zip"
        path.write_bytes(_packed(text, NAME))
        report = kept.report_to_json(submission.audit(path), DIGEST)
        path.unlink()
        for number in range(count):
            name = f"net{number:05}"
            top1 = 0.9 + 0.1 * (number * 7919 % count) / count
            weights = hashlib.sha256(name.encode()).hexdigest()
            own = text.replace(NAME, name).replace(str(TOP1), str(top1)).replace(WEIGHTS, weights)
            data = _packed(own, name)
            digest = hashlib.sha256(data).hexdigest()
            bundle = layout.folder_of(folder, digest)
            bundle.mkdir(parents=True)
            (bundle / layout.BUNDLE).write_bytes(data)
            said = report.replace(NAME, name).replace(WEIGHTS, weights)
            (bundle / layout.AUDIT).write_text(said.replace(DIGEST, digest))
            day = f"20{10 + number * 15 // count}-{1 + number % 12:02}-01"
            accepted = kept.acceptance_to_json(kept.acceptance("Ada", day))
            (bundle / layout.ACCEPTED).write_text(accepted)

    return fill


def _packed(record: str, name: str) -> bytes:
    """Returns a bundle of one record, of a run that is called after a model."""
    path, text = f"runs/{name}-seed0/record.json", record.encode()
    listed = {path: manifest.File(hashlib.sha256(text).hexdigest(), len(text))}
    return write.zipped({"manifest.json": manifest.to_json(listed).encode(), path: text})
