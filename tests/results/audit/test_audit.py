"""Levels a, b and f: what an honest run gets, and that each forgery is caught where it can be."""

import dataclasses
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from results import RecordError, records, rules
from results.audit import Auditor, Options, report, submission
from results.bundles import write
from results.records import layout

_RUNS = Path(__file__).parents[3] / "results" / "published" / "digits" / "runs"
_NAME = "squeezenet1_1-seed0"
_BOARD = """
title = "Digits"
dataset = "digits"
seeds = 3

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


@pytest.fixture
def board() -> rules.Rules:
    """The rules that the published runs of digits keep."""
    return rules.from_toml(_BOARD)


@pytest.fixture
def run(tmp_path) -> Path:
    """A published run, the test's own to forge."""
    return Path(shutil.copytree(_RUNS / _NAME, tmp_path / _NAME))


def _contradicted(run: Path, board: rules.Rules | None = None) -> set[str]:
    """Returns the levels and names of the claims of a run, packed as a bundle, that are contradicted."""
    bundle = run.with_suffix(".zip")
    write.write([run], bundle)
    audited = submission.audit(bundle, board)
    assert not audited.problem
    (only,) = audited.runs
    return {
        f"{claim.level} {claim.name}" for claim in only.claims if claim.verdict == "contradicted"
    }


def _change_record(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = layout.path_in(run)
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def _change_test(run: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    path = layout.predictions_in(run, "test")
    arrays = dict(np.load(path))
    change(arrays)
    np.savez(path, **arrays)


@pytest.mark.parametrize("run_id", sorted(path.name for path in _RUNS.iterdir()))
def test_every_published_run_is_consistent(run_id, board):
    audited = submission.audit(_RUNS / run_id, board)
    assert not audited.problem
    assert audited.verdict == "consistent"
    names = {claim.name for claim in audited.runs[0].claims}
    assert names >= {"schema", "metrics.test.top1", "metrics.test.ece", "budget.steps", "rules"}


def test_a_file_that_was_changed_after_the_manifest_is_named(tmp_path):
    write.write([_RUNS / _NAME], tmp_path / "a.zip")
    assert submission.audit(tmp_path / "a.zip").claims[0].verdict == "verified"
    with zipfile.ZipFile(tmp_path / "a.zip") as a, zipfile.ZipFile(tmp_path / "b.zip", "w") as b:
        for name in a.namelist():
            b.writestr(name, a.read(name) + b"\n" * name.endswith("record.json"))
    audited = submission.audit(tmp_path / "b.zip")
    assert audited.verdict == "contradicted"
    assert "record.json' is not the file of the manifest" in audited.claims[0].reason


def test_a_file_that_the_manifest_has_and_the_bundle_lacks_is_named(tmp_path):
    write.write([_RUNS / _NAME], tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as a, zipfile.ZipFile(tmp_path / "b.zip", "w") as b:
        for name in a.namelist():
            if not name.endswith("metrics.jsonl"):
                b.writestr(name, a.read(name))
    assert "is missing" in submission.audit(tmp_path / "b.zip").claims[0].reason


def test_a_record_of_a_newer_schema_is_named(run):
    _change_record(run, lambda record: record.update(schema_version=999))
    audited = submission.audit(run)
    assert "999" in audited.problem


def test_one_prediction_changed(run):
    def change(arrays):
        at = int(np.argmax(arrays["rank"] > 0))
        arrays["predicted"][at] = arrays["label"][at]

    _change_test(run, change)
    assert "b predictions.test" in _contradicted(run)


def test_one_prediction_changed_in_all_that_is_said_of_it(run):
    def change(arrays):
        at = int(np.argmax(arrays["rank"] > 0))
        arrays["predicted"][at], arrays["rank"][at] = arrays["label"][at], 0
        arrays["loss"][at] = -np.log(arrays["confidence"][at])

    _change_test(run, change)
    assert {"b metrics.test.top1", "b metrics.test.loss"} <= _contradicted(run)


def test_metrics_raised(run):
    def change(record):
        record["metrics"]["test"]["top1"] = 0.999

    _change_record(run, change)
    assert {"b metrics.test.top1", "b log.test"} <= _contradicted(run)


def test_test_examples_left_out_or_twice(run):
    def leave_out(arrays):
        for name in arrays:
            arrays[name] = arrays[name][arrays["rank"] == 0] if name != "rank" else arrays[name]
        arrays["rank"] = arrays["rank"][arrays["rank"] == 0]

    original = dict(np.load(layout.predictions_in(run, "test")))
    _change_test(run, leave_out)
    assert "b examples.test" in _contradicted(run)

    def twice(arrays):
        arrays |= original
        arrays["index"][1] = arrays["index"][0]

    _change_test(run, twice)
    assert "b examples.test" in _contradicted(run)


def test_validation_reported_as_test(run):
    def change(record):
        for where in (record["dataset"], record["config"]):
            where["test_split"] = where["validation_split"]

    _change_record(run, change)
    assert "b dataset.test_split" in _contradicted(run)


def test_another_budgets_record(run, board):
    def change(record):
        record["budget"]["amount"] = record["config"]["budget"]["amount"] = 4000.0

    _change_record(run, change)
    assert {"b budget.steps", "b budget", "f budget.amount"} <= _contradicted(run, board)


def test_another_budget_in_the_record_than_in_its_configuration(run):
    _change_record(run, lambda record: record["budget"].update(amount=4000.0))
    assert "b config" in _contradicted(run)


@pytest.mark.parametrize("speed", [0.01, 0.5])
def test_a_clock_that_ran_slow(run, speed):
    def change(record):
        record["budget"]["train_seconds_spent"] *= speed
        record["timings"]["train_seconds"] *= speed
        record["throughput"]["train_images_per_second"] /= speed

    _change_record(run, change)
    assert {"b log", "b timings.total_seconds"} & _contradicted(run)


def test_a_speed_that_no_hardware_has(run):
    def change(record):
        seconds = 1e-4
        record["budget"]["train_seconds_spent"] = record["timings"]["train_seconds"] = seconds
        record["throughput"]["train_images_per_second"] = 8000 / seconds

    _change_record(run, change)
    assert "b speed" in _contradicted(run)


def test_the_same_run_under_two_seeds(run, tmp_path):
    other = Path(shutil.copytree(run, tmp_path / "squeezenet1_1-seed7"))

    def change(record):
        record["run_id"] = other.name
        record["seed"] = record["config"]["seed"] = 7

    _change_record(other, change)
    auditor = Auditor(Options(with_models=False, workers=1))
    list(auditor.audits([run, other]))
    (claim,) = auditor.together
    assert claim.verdict == "contradicted"
    assert claim.name == "distinct"
    assert _NAME in claim.reason


def test_honest_seeds_are_told_apart_and_the_same_submission_twice_is_no_fraud():
    auditor = Auditor(Options(with_models=False, workers=1))
    list(auditor.audits([*sorted(_RUNS.iterdir()), _RUNS / _NAME]))
    assert auditor.together == []


def test_a_seed_dropped(board):
    auditor = Auditor(Options(board, with_models=False, workers=1))
    list(auditor.audits([_RUNS / "squeezenet1_1-seed0", _RUNS / "squeezenet1_1-seed2"]))
    (claim,) = auditor.together
    assert (claim.level, claim.name, claim.verdict) == ("f", "seeds", "contradicted")
    assert claim.reason.endswith("must have seeds 0, 1, 2, and it lacks seed 1.")


def test_seeds_that_were_chosen(run, board):
    def change(record):
        record["seed"] = record["config"]["seed"] = 41

    _change_record(run, change)
    assert "f seeds" in _contradicted(run, board)


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ('version = "9"', "version"),
        ('task = "multi_label"', "task"),
        ('splits = {test = "train"}', "splits.test"),
        ('hardware = {platform = "tpu"}', "hardware.platform"),
        ("hardware = {cpu_cores = 977}", "hardware.cpu_cores"),
    ],
)
def test_a_rule_that_is_not_kept_is_named(line, broken):
    rule = rules.from_toml(f"{line}\n{_BOARD}")
    record = records.read(layout.path_in(_RUNS / _NAME))
    assert [each.rule for each in rules.breaches(rule, record)] == [broken]


def test_a_run_belongs_to_the_first_division_whose_rules_it_keeps(board):
    record = records.read(layout.path_in(_RUNS / _NAME))
    assert rules.division_of(board, record) == "common"
    other = dataclasses.replace(record, recipe="paper")
    assert rules.division_of(board, other) == "open"
    plugin = dict(record.config) | {"plugins": ["evil"]}
    closed = rules.from_toml(_BOARD.replace('plugins = ["*"]', ""))
    assert rules.division_of(closed, dataclasses.replace(record, config=plugin)) is None
    tuned = dataclasses.replace(record, config=dict(record.config) | {"tuning_trials": 33})
    limited = rules.from_toml(_BOARD.replace('name = "open"', 'name = "open"\ntuning_trials = 32'))
    broken = rules.breaches(limited, dataclasses.replace(tuned, recipe="paper"))
    assert {each.rule for each in broken} & {"tuning_trials", "recipe"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "it is not TOML"),
        (_BOARD.replace("seeds = 3", ""), "it does not say 'seeds'"),
        (_BOARD.replace("seeds = 3", "seeds = [1, 1]"), "one twice"),
        (_BOARD.replace("8000", "-1"), "a number above 0"),
        (_BOARD.replace("8000", "nan"), "a number above 0"),
        (f"sneeds = 3\n{_BOARD}", "there is no rule 'sneeds'"),
        (_BOARD.replace("Digits", "<script>"), "holds HTML"),
        (_BOARD.replace('"common"\nrecipe', '"open"\nrecipe'), "the same name"),
    ],
)
def test_a_board_that_cannot_be_is_one_sentence(text, said):
    with pytest.raises(RecordError) as raised:
        rules.from_toml(text)
    assert said in str(raised.value)


def test_many_submissions_are_audited_in_other_processes_with_the_same_verdicts():
    paths = sorted(_RUNS.iterdir())[:10]
    one, two = (Auditor(Options(with_models=False, workers=count)) for count in (1, 2))
    assert list(map(report.to_plain, one.audits(paths))) == list(
        map(report.to_plain, two.audits(paths))
    )


def test_the_command_prints_verdicts_and_its_status_tells_them(command_here, run, tmp_path):
    toml = tmp_path / "board.toml"
    toml.write_text(_BOARD.replace("seeds = 3", "seeds = 1"))
    done = command_here("results.audit", run, "--nomodels", f"--rules={toml}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[0] == f"{run}: consistent"
    _change_record(run, lambda record: record["metrics"]["test"].update(top1=0.999))
    done = command_here("results.audit", run, "--nomodels", "--brief", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["audits"][0]["verdict"] == "contradicted"
    assert told["together"] == []
    (tmp_path / "x.zip").write_bytes(b"x")
    done = command_here("results.audit", tmp_path / "x.zip", "--nomodels")
    assert done.returncode == 2
    assert "cannot be read: it is no zip archive" in done.stdout
    done = command_here("results.audit", tmp_path / "nothing")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
