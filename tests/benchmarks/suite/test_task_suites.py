"""A leaderboard for each task, from runs as a user starts them, and what their records say of decisions."""

import csv

import numpy as np
import pytest

from benchmarks import tasks
from benchmarks.evaluate import report
from benchmarks.evaluate.run import evaluate_run
from benchmarks.suite.run import run
from benchmarks.train.run import train_and_evaluate
from results import records
from results.records import tasks as ranked_tasks

_FIELDS = {
    "binary": {"positive_class": "3", "positive_weight": "balanced"},
    "multi_label": {"dataset": "digits_multilabel"},
}


def config_of(name, make_config):
    config = make_config()
    config.task = name
    config.update(_FIELDS[name])
    return config


@pytest.fixture(scope="module", params=sorted(_FIELDS))
def trained(request, tmp_path_factory, make_config):
    """(task's name, its configuration, the suite's folder, the record of its one run)."""
    directory = tmp_path_factory.mktemp(request.param)
    config = config_of(request.param, make_config)
    (record,) = run(config, directory, model_specs=["tiny"], seeds=[0])
    return request.param, config, directory, record


def kept(directory, split):
    with np.load(directory / "runs" / "tiny-seed0" / "predictions" / f"{split}.npz") as arrays:
        return dict(arrays)


def test_a_suite_ranks_each_task_by_its_own_metric(trained):
    name, _, directory, record = trained
    assert record.status == "completed", record.error
    task = ranked_tasks.find(name)
    with (directory / "leaderboard.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["task"], row["rank"], row["primary_metric"]) == (name, "1", task.primary)
    for metric in (*task.shown, *task.others):
        assert float(row[metric]) == pytest.approx(record.metrics.test[metric])
    heading = record.dataset.name.replace("_", r"\_")
    assert heading in (directory / "leaderboard.md").read_text()


def test_a_suite_learns_something(trained):
    name, _, _, record = trained
    chance = {"binary": 0.5, "multi_label": 0.25}[name]
    assert record.metrics.test[ranked_tasks.find(name).primary] > chance + 0.05


def test_a_model_has_a_logit_for_each_label(trained):
    name, _, directory, record = trained
    number = {"binary": 1, "multi_label": 10}[name]
    assert record.model.num_classes == number
    # 5,370 with ten logits, each with 512 weights and a bias.
    assert record.model.parameters == 5370 - (10 - number) * 513
    assert kept(directory, "test")["logits"].shape == (record.dataset.test_examples, number)


def test_thresholds_are_chosen_on_validation_and_decide_on_test(trained):
    name, _, directory, record = trained
    task = tasks.TASKS[name]
    chosen = task.thresholds(kept(directory, "validation"))
    labels = {"binary": ["3"], "multi_label": list("0123456789")}[name]
    assert dict(record.decision.thresholds) == dict(zip(labels, chosen.tolist(), strict=True))
    assert task.metrics(kept(directory, "test"), chosen) == record.metrics.test
    assert record.decision.temperature is None


def test_another_test_split_has_the_same_thresholds(trained, tmp_path):
    _, config, _, record = trained
    config = config.copy_and_resolve_references()
    config.test_split = "test[:50]"
    other = train_and_evaluate(config, tmp_path)
    assert other.metrics.test["examples"] == 50
    assert other.weights_digest == record.weights_digest
    assert other.decision == record.decision


def test_the_record_says_how_positives_weighed(trained):
    name, _, _, record = trained
    weights = {"binary": {"3": (1257 - 128) / 128}, "multi_label": None}[name]
    assert record.positive_weights == weights
    assert records.from_json(records.to_json(record)) == record


def test_weights_are_evaluated_with_the_records_thresholds(trained):
    name, _, directory, record = trained
    evaluation = evaluate_run(directory / "runs" / "tiny-seed0")
    assert evaluation.metrics == record.metrics.test
    assert ranked_tasks.find(name).primary.split("_")[0] in report.describe(evaluation).lower()
