"""The columns: stable, documented, with known values, and those of a task only where it is the task."""

import csv
import dataclasses
import io
from pathlib import Path

import pytest

from results import column_docs, leaderboard
from results.rankings import rows
from results.records import Metrics, Model, Throughput, Timings, tasks
from results.tables import columns, markdown

ROOT = Path(__file__).parents[3]
BINARY = {
    "accuracy": 0.9, "precision": 0.8, "recall": 0.7, "f1": 0.75, "roc_auc": 0.95,
    "average_precision": 0.85, "ece": 0.02, "loss": 0.3,
}  # fmt: skip
MULTI_LABEL = {
    "mean_average_precision": 0.8, "micro_f1": 0.7, "macro_f1": 0.6, "exact_match": 0.5, "loss": 0.2,
}  # fmt: skip


def row_of(record) -> dict[str, str]:
    text = leaderboard.to_csv(rows.summarize([record]))
    (row,) = csv.DictReader(io.StringIO(text))
    return row


def of_task(run, name, seed, task, metrics):
    record = run(name, seed, metrics=Metrics({}, metrics), run_id=f"{name}-{task}-{seed}")
    return dataclasses.replace(record, dataset=dataclasses.replace(record.dataset, task=task))


def test_page_of_the_columns_is_current():
    assert (ROOT / "docs" / "columns.md").read_text() == column_docs.describe()


def test_every_column_has_a_description_and_a_name_of_its_own():
    assert all(column.doc for column in columns.COLUMNS)
    names = [column.name for column in columns.COLUMNS]
    assert len(set(names)) == len(names)


def test_names_end_with_their_unit_where_it_is_not_a_count_or_a_fraction():
    ends = {"s": ("_seconds", "_spent"), "bytes": "_bytes", "ms": "_ms", "nats": "_nats"}
    ends |= {"images/s": "_images_per_second", "FLOPs": "_flops_spent"}
    for column in columns.COLUMNS:
        assert column.name.endswith(ends.get(column.unit, "")), column.name


def test_what_the_harness_measures_has_its_column(run):
    record = run(
        "a",
        0,
        metrics=Metrics({}, {"top1": 0.9, "top5": 1.0, "loss": 0.25, "ece": 0.03}),
        throughput=Throughput(1400.0, 5000.0, 1.5, 2.5),
        timings=Timings(8.0, 3.0, 0.5, 0.4, 12.5),
        peak_memory_bytes=3 * 2**20,
        hardware={"device_kind": "H200", "device_count": 4, "peak_flops_per_second": 1e12},
    )
    record = dataclasses.replace(
        record,
        metrics=dataclasses.replace(record.metrics, validation={"top1": 0.91}),
        model=Model("a", {}, 32, 10, 1000, 0, 2000, 300, 4096),
        budget=dataclasses.replace(record.budget, train_flops_spent=8e12),
    )
    row = row_of(record)
    expected = {
        "nll_nats": 0.25,
        "validation_primary_metric": 0.91,
        "ece": 0.03,
        "activations": 300,
        "weight_bytes": 4096,
        "infer_latency_p50_ms": 1.5,
        "infer_latency_p99_ms": 2.5,
        "peak_memory_bytes": 3 * 2**20,
        "compile_seconds": 3.0,
        "budget_amount": 12_000,
        "budget_spent": 12_032,
        "input_wait_share": 0.05,
        "model_flops_utilization": 0.25,  # 8e12 / 8 s over 4 devices of 1e12
    }
    assert {name: float(row[name]) for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("hardware", [{}, {"peak_flops_per_second": None}])
def test_utilization_is_empty_where_the_peak_is_not_known(run, hardware):
    assert row_of(run("a", 0, 0.9, hardware=hardware))["model_flops_utilization"] == ""


@pytest.mark.parametrize("metric", [task.primary for task in tasks.TASKS])
def test_a_ranked_metric_has_its_interval(metric):
    names = {column.name for column in columns.COLUMNS}
    assert {metric, f"{metric}_low", f"{metric}_high"} <= names


@pytest.mark.parametrize("task", tasks.TASKS, ids=lambda task: task.name)
def test_people_see_the_metrics_of_the_task_and_no_others(task):
    shown = [column.name for column in columns.shown(task.name)]
    assert shown[: shown.index("seeds") + 2] == [
        *("rank", "model", "image_size", "parameters", "macs", "seeds", task.primary),
    ]
    others = {name for other in tasks.TASKS for name in other.shown} - set(task.shown)
    assert set(task.shown) <= set(shown)
    assert not others & set(shown)


@pytest.mark.parametrize(
    ("task", "primary", "metrics"),
    [("binary", "roc_auc", BINARY), ("multi_label", "mean_average_precision", MULTI_LABEL)],
)
def test_a_task_is_ranked_by_its_primary_metric(run, task, primary, metrics):
    # The better by the primary metric is the worse by every other.
    worse = {name: value - 0.1 for name, value in metrics.items()}
    runs = [
        *(
            of_task(run, "second", seed, task, metrics | {primary: 0.5 + seed / 1000})
            for seed in range(2)
        ),
        *(of_task(run, "first", seed, task, worse | {primary: 0.6}) for seed in range(2)),
    ]
    (table,) = rows.summarize(runs)
    assert [(row.rank, row.model) for row in table.rows] == [(1, "first"), (2, "second")]
    row, _ = csv.DictReader(io.StringIO(leaderboard.to_csv([table])))
    assert (row["task"], row["primary_metric"], row[primary]) == (task, primary, "0.6")
    assert row["top1"] == ""
    assert row["status"] == "completed"
    text = markdown.to_markdown([table])
    assert f"Ranked by {tasks.find(task).spoken}" in text
    assert "top-1" not in text


def test_a_run_without_its_tasks_primary_metric_has_no_test_result(run):
    row = row_of(of_task(run, "a", 0, "binary", {"top1": 0.9}))
    assert (row["rank"], row["status"]) == ("", "no test result")


def test_tasks_share_the_csv_and_never_a_ranking(run):
    runs = [
        of_task(run, "a", 0, "binary", BINARY),
        of_task(run, "a", 0, "multi_label", MULTI_LABEL),
    ]
    tables = rows.summarize(runs)
    assert [len(table.rows) for table in tables] == [1, 1]
    lines = list(csv.DictReader(io.StringIO(leaderboard.to_csv(tables))))
    assert [(row["roc_auc"], row["micro_f1"]) for row in lines] == [("0.95", ""), ("", "0.7")]
