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
from results.rankings import metrics, thresholds
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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e38, 1e38])
@pytest.mark.parametrize("name", ["loss", "confidence"])
def test_numbers_that_no_run_leaves_are_contradicted_without_a_warning(run, name, value):
    def change(arrays):
        arrays[name][:7] = value

    _change_test(run, change)
    assert _contradicted(run) & {"b predictions.test", "b metrics.test.loss", "b metrics.test.ece"}


@pytest.mark.filterwarnings("error")
def test_predictions_of_no_example(run):
    def change(arrays):
        for each in arrays:
            arrays[each] = arrays[each][:0]

    _change_test(run, change)
    assert "b predictions.test" in _contradicted(run)


@pytest.mark.parametrize(
    ("suite", "raised"),
    [
        (
            "digits_binary",
            ("roc_auc", "average_precision", "accuracy", "precision", "recall", "f1"),
        ),
        ("digits_multilabel", ("mean_average_precision", "micro_f1", "macro_f1", "exact_match")),
    ],
)
class TestOfLabels:
    """Runs whose predictions are logits of one label or of many."""

    @pytest.fixture
    def labeled(self, suite, raised, tmp_path) -> Path:
        """A published run, with predictions that were made up for it and metrics of these."""
        name = "mobilenet_v1-width=0.25-seed0"
        run = Path(shutil.copytree(_RUNS.parents[1] / suite / "runs" / name, tmp_path / name))
        record = records.read(layout.path_in(run))
        chance = np.random.default_rng(0)
        measured: dict[str, dict[str, float]] = {}
        decided = np.zeros(0)
        for split in ("validation", "test"):
            count = getattr(record.dataset, f"{split}_examples")
            targets = chance.random((count, record.model.num_classes)) < 0.3
            logits = chance.normal(np.where(targets, 1.5, -1.5)).astype(np.float32)
            arrays = {"index": np.arange(count), "logits": logits, "targets": targets * 1.0}
            layout.predictions_in(run, split).parent.mkdir(exist_ok=True)
            np.savez(layout.predictions_in(run, split), **arrays)
            if not len(decided):
                decided = thresholds.choose(metrics.confidences(arrays), targets)
            measure = metrics.binary if suite == "digits_binary" else metrics.multi_label
            measured[split] = measure(arrays, decided)

        def change(plain):
            names = plain["decision"]["thresholds"]
            plain["decision"]["thresholds"] = dict(zip(names, decided.tolist(), strict=True))
            plain["metrics"] = measured

        _change_record(run, change)
        log = layout.metrics_in(run)
        lines = [each for each in log.read_text().splitlines() if "train/loss" in each]
        log.write_text("".join(f"{each}\n" for each in lines))
        return run

    def test_an_honest_run_has_every_metric_and_its_thresholds_measured_again(
        self, labeled, raised
    ):
        (audited,) = submission.audit(labeled).runs
        verdicts = {claim.name: claim.verdict for claim in audited.claims}
        assert audited.verdict == "consistent"
        for name in (*(f"metrics.test.{each}" for each in raised), "decision.thresholds"):
            assert verdicts[name] == "consistent"

    def test_each_metric_raised_is_caught(self, labeled, raised):
        for name in raised:
            path = layout.path_in(labeled)
            honest = path.read_text()
            _change_record(labeled, lambda record, name=name: _raise(record, name))
            assert f"b metrics.test.{name}" in _contradicted(labeled)
            path.write_text(honest)

    def test_one_logit_turned_to_the_right_side_is_caught(self, labeled, raised):
        def change(arrays):
            decided = arrays["logits"] > 0
            example, label = np.argwhere(decided != (arrays["targets"] > 0.5))[0]
            arrays["logits"][example, label] *= -1

        _change_test(labeled, change)
        caught = {name.removeprefix("b metrics.test.") for name in _contradicted(labeled)}
        assert caught & {*raised, "loss"}

    def test_thresholds_that_suit_the_test_split_are_caught(self, labeled, raised):
        def change(record):
            for name in record["decision"]["thresholds"]:
                record["decision"]["thresholds"][name] *= 0.9

        _change_record(labeled, change)
        assert "b decision.thresholds" in _contradicted(labeled)

    def test_targets_that_are_no_labels_are_caught(self, labeled, raised):
        def change(arrays):
            arrays["targets"] = arrays["targets"] + 0.25

        _change_test(labeled, change)
        assert "b predictions.test" in _contradicted(labeled)


def _raise(record: dict[str, Any], name: str) -> None:
    test = record["metrics"]["test"]
    test[name] = test[name] * 0.5 + 0.5 if test[name] < 1 else 0.5


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


def _change_progress(run: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    path = layout.progress_in(run)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


@pytest.mark.parametrize(
    "forge",
    [
        lambda looks: looks.reverse(),
        lambda looks: looks.append(dict(looks[-1], step=10**6)),
        lambda looks: looks[-1].update(progress=1.5),
        lambda looks: [look.update(progress=look["progress"] * 2) for look in looks],
        lambda looks: looks[len(looks) // 2].update(progress=0.999),
        lambda looks: looks[-1].update(progress=float("nan")),
    ],
    ids=[
        "reversed",
        "beyond the last step",
        "beyond the budget",
        "twice as fast",
        "ahead of the log",
        "no number",
    ],
)
def test_looks_at_the_clock_that_were_made_up(tmp_path, forge):
    """Of a run whose budget is seconds."""
    name = "squeezenet1_1-seed0"
    run = Path(
        shutil.copytree(_RUNS.parents[1] / "digits_seconds" / "runs" / name, tmp_path / name)
    )
    (honest,) = submission.audit(run).runs
    assert {each.name: each.verdict for each in honest.claims}["progress"] == "consistent"
    _change_progress(run, forge)
    audited = submission.audit(run)
    if audited.problem:  # JSON has no NaN
        assert "NaN" in audited.problem
    else:
        assert "b progress" in _contradicted(run)


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
