"""Predictions beside records become scores on resampled examples, and what does not fit is named and left out."""

import csv
import dataclasses

import numpy as np
import pytest
import sklearn.metrics

from results import leaderboard
from results.rankings import load
from results.rankings.examples import PredictedExamples
from results.records import Decision, Metrics, layout, record_path
from results.records import write as write_record
from results.tables import document, headings


@pytest.fixture
def two(run, tmp_path, write_predictions):
    """Returns the folder of two models of one seed, of which the first is right on 60 of 100 examples."""
    for name, right in (("a", 60), ("b", 50)):
        correct = np.arange(100) < right
        write_predictions(run(name, 0, right / 100), tmp_path, correct)
    return tmp_path


def columns(folder) -> dict[str, dict[str, str]]:
    text = leaderboard.to_csv(load.rankings([folder]).tables)
    return {row["model"]: row for row in csv.DictReader(text.splitlines())}


def test_ranks_of_one_seed_are_as_sure_as_its_test_examples_make_them(two):
    rows = columns(two)
    assert float(rows["a"]["first_share"]) > 0.99
    assert [rows[name]["resampled_rank_high"] for name in "ab"] == ["1", "2"]
    (table,) = load.rankings([two]).tables
    text = headings.intervals(table)
    assert "in 2,000 bootstrap samples over 100 test examples, `rank 95%`" in text
    assert "With one seed, this is about these weights and not about the models." in text
    (row, _) = document.document([table])["rankings"][0]["rows"]
    assert row["resampled_rank"]["low"] == row["resampled_rank"]["high"] == 1


def test_without_predictions_one_seed_leaves_the_columns_empty(two):
    for name in "ab":
        layout.predictions_in(layout.run_folder(two, f"{name}-0"), "test").unlink()
    assert {row["first_share"] + row["resampled_rank"] for row in columns(two).values()} == {""}
    assert "bootstrap" not in headings.intervals(load.rankings([two]).tables[0])


def test_the_order_in_which_examples_were_evaluated_changes_nothing(
    run, tmp_path, write_predictions
):
    correct = np.random.default_rng(0).random(100) < 0.5
    record = run("a", 0, float(correct.mean()))
    order = np.random.default_rng(1).permutation(100)
    resampled = []
    for index in (np.arange(100), order):
        path = write_predictions(record, tmp_path, correct[index], index=index)
        resampled += PredictedExamples({record.run_id: path.parents[1]}).of([record])
    assert resampled[0].examples == resampled[1].examples
    assert np.array_equal(resampled[0].scores, resampled[1].scores)
    assert np.array_equal(resampled[0].correct, correct)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "damaged or half-written"),
        (
            lambda path: np.savez(
                path, **(dict(np.load(path)) | {"predicted": np.zeros(100, int)})
            ),
            "it gives a top-1 accuracy of 0.1000 and the record says 0.6: it is of other weights.",
        ),
    ],
)
def test_predictions_that_do_not_fit_are_named_and_left_out(two, damage, reason):
    damage(layout.predictions_in(layout.run_folder(two, "a-0"), "test"))
    loaded = load.rankings([two])
    (table,) = loaded.tables
    assert next(row for row in table.rows if row.model == "a").standing is None
    (problem,) = loaded.problems
    assert reason in str(problem)
    assert "Without predictions of the same examples: a." in headings.intervals(table)


@pytest.mark.parametrize("command", ["leaderboard", "claims"])
def test_commands_name_predictions_that_they_leave_out(two, command, command_here):
    path = layout.predictions_in(layout.run_folder(two, "a-0"), "test")
    path.write_bytes(path.read_bytes()[:200])
    ended = command_here(f"results.{command}", two)
    assert ended.returncode == 0
    assert ended.stderr.startswith(f"Left out: {path}: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("labels", [1, 3])
def test_other_tasks_resample_the_metric_that_they_are_ranked_by(make, tmp_path, labels):
    chance = np.random.default_rng(0)
    targets = (chance.random((200, labels)) < 0.4).astype(np.float32)
    logits = chance.normal(targets, 1.5).astype(np.float32)
    if labels == 1:
        task, metric = "binary", "roc_auc"
        score = sklearn.metrics.roc_auc_score(targets[:, 0], logits[:, 0])
    else:
        task, metric = "multi_label", "mean_average_precision"
        score = sklearn.metrics.average_precision_score(targets, logits, average="macro")
    record = make("a", metrics=Metrics({}, {metric: score}), decision=Decision())
    record = dataclasses.replace(record, dataset=dataclasses.replace(record.dataset, task=task))
    write_record(record, record_path(tmp_path, "a"))
    path = layout.predictions_in(layout.run_folder(tmp_path, "a"), "test")
    path.parent.mkdir()
    np.savez(path, logits=logits, targets=targets)
    examples = PredictedExamples({"a": layout.run_folder(tmp_path, "a")})
    (resampled,) = examples.of([record])
    assert examples.problems == []
    assert resampled.scores.mean() == pytest.approx(score, abs=0.01)
    assert 0.01 < resampled.scores.std() < 0.06
    assert resampled.correct is None
