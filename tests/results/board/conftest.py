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
        for number in range(count):
            name = f"net{number:05}"
            test = {**first.metrics.test, "top1": 0.9 + 0.1 * (number * 7919 % count) / count}
            record = dataclasses.replace(
                first,
                run_id=f"{name}-seed0",
                model=dataclasses.replace(first.model, name=name),
                config={**first.config, "model": name},
                metrics=dataclasses.replace(first.metrics, test=test),
                weights_digest=hashlib.sha256(name.encode()).hexdigest(),
            )
            _put(folder, record, f"20{10 + number * 15 // count}-{1 + number % 12:02}-01")

    return fill


def _put(folder: Path, record: records.RunRecord, day: str) -> None:
    text = records.to_json(record).encode()
    name = f"runs/{record.run_id}/record.json"
    listed = {name: manifest.File(hashlib.sha256(text).hexdigest(), len(text))}
    data = write.zipped({"manifest.json": manifest.to_json(listed).encode(), name: text})
    digest = hashlib.sha256(data).hexdigest()
    own = layout.folder_of(folder, digest)
    own.mkdir(parents=True)
    (own / layout.BUNDLE).write_bytes(data)
    audit = submission.audit(own / layout.BUNDLE)
    (own / layout.AUDIT).write_text(kept.report_to_json(audit, digest))
    accepted = kept.acceptance("Ada", day)
    (own / layout.ACCEPTED).write_text(kept.acceptance_to_json(accepted))
