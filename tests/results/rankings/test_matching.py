"""Only what matches shares a ranking, and what a run spent is told beside what it was allowed."""

import csv
import dataclasses
import io

import pytest
from rich.console import Console

from results import leaderboard
from results.rankings import rows
from results.records import Metrics
from results.tables import headings, markdown

# As the fixtures have it.
CONFIG = {"optimizer": {"name": "sgd", "betas": [0.9, 0.999]}, "clip": None}
OUT_OF_MEMORY = {"status": "out_of_memory", "metrics": Metrics(), "error": "No room for 2 GiB."}


def rows_of(run_records) -> list[dict[str, str]]:
    text = leaderboard.to_csv(rows.summarize(run_records))
    return list(csv.DictReader(io.StringIO(text)))


def printed(run_records) -> str:
    console = Console(width=200, file=io.StringIO(), color_system=None)
    leaderboard.print_table(run_records, console)
    return console.file.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": {"name": "cifar10"}},
        {"dataset": {"version": "2.0.0"}},
        {"dataset": {"train_split": "train[:50%]"}},
        {"dataset": {"test_split": "validation"}},
        {"dataset": {"task": "transfer"}},
        {"budget": {"kind": "steps"}},
        {"budget": {"amount": 24_000}},
        {"budget": {"batch_size": 128}},
        {"recipe": "paper"},
        {"config": {"tuning_trials": 8}},
    ],
    ids=str,
)
def test_runs_that_are_not_matched_never_share_a_ranking(run, change):
    other = run("other", 0, 0.9)
    for name, value in change.items():
        if name in ("dataset", "budget"):
            value = dataclasses.replace(getattr(other, name), **value)
        other = dataclasses.replace(other, **{name: value})
    runs = [run("a", 0, 0.95), other]
    assert [row["rank"] for row in rows_of(runs)] == ["1", "1"]
    assert markdown.to_markdown(rows.summarize(runs)).count("\n## ") == 2


def test_seconds_on_different_devices_never_share_a_ranking_and_examples_do(run):
    def on(device, kind):
        record = run(f"on_{device}", 0, 0.9, hardware={"platform": "gpu", "device_kind": device})
        return dataclasses.replace(record, budget=dataclasses.replace(record.budget, kind=kind))

    for kind, tables in [("seconds", 2), ("examples", 1)]:
        assert len(rows.summarize([on("H200", kind), on("T4", kind)])) == tables


def spent(record, kind, amount, **changes):
    budget = dataclasses.replace(record.budget, kind=kind, amount=amount, **changes)
    return dataclasses.replace(record, budget=budget)


@pytest.mark.parametrize(
    ("kind", "amount", "changes", "status"),
    [
        ("examples", 12_000, {"examples_spent": 12_600}, "completed"),
        ("examples", 12_000, {"examples_spent": 12_840}, "completed, 7% over budget"),
        ("epochs", 10, {"examples_spent": 11_040}, "completed, 8% under budget"),
        ("flops", 1e15, {"train_flops_spent": 1.2e15}, "completed, 20% over budget"),
        ("seconds", 60, {"train_seconds_spent": 54.0}, "completed, 10% under budget"),
        ("seconds", 60, {"train_seconds_spent": None}, "completed"),
    ],
)
def test_a_run_off_its_budget_is_flagged_in_every_table(run, kind, amount, changes, status):
    record = spent(run("a", 0, 0.9), kind, amount, **changes)  # 1,200 training examples
    (row,) = rows_of([record])
    assert row["status"] == status
    assert f"| {status} |" in markdown.to_markdown(rows.summarize([record]))
    remark = status.removeprefix("completed").removeprefix(", ")
    shown = printed([record])
    assert remark in shown
    assert ("budget" in shown.split("top-1")[1]) == bool(remark)
    assert "failed" not in shown


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ((None, 1), "completed"),
        ((1, 2), "completed, beside 1 other run"),
        ((4, 2), "completed, beside 3 other runs"),
    ],
)
def test_a_row_measured_beside_other_runs_says_so(run, counts, status):
    records_ = [
        dataclasses.replace(run("a", seed, 0.9), concurrent_runs=count)
        for seed, count in enumerate(counts)
    ]
    (row,) = rows_of(records_)
    assert row["status"] == status
    assert status.removeprefix("completed, ") in (printed(records_) + "completed")


def test_the_run_furthest_off_speaks_for_its_row_and_failures_are_told_too(run):
    records_ = [
        spent(run("a", 0, 0.9), "examples", 12_000, examples_spent=11_000),
        spent(run("a", 1, 0.9), "examples", 12_000, examples_spent=13_800),
        spent(run("a", 2, **OUT_OF_MEMORY), "examples", 12_000, examples_spent=64),
    ]
    (row,) = rows_of(records_)
    assert row["status"] == "1 of 3 failed: out of memory, 15% over budget"
    assert float(row["budget_deviation"]) == pytest.approx(0.15)
    assert "1 of 3 failed, 15% over budget" in printed(records_)


def test_tuning_allowances_are_told_and_never_share_a_ranking(run):
    records_ = [
        run("a", 0, 0.9),
        run("b", 0, 0.8, config=CONFIG | {"tuning_trials": 0}),
        run("c", 0, 0.7, config=CONFIG | {"tuning_trials": 8}),
        run("d", 0, 0.6, config=CONFIG | {"tuning_trials": 8}),
    ]
    lines = rows_of(records_)
    assert [(row["tuning_trials"], row["rank"]) for row in lines] == [
        ("", "1"),
        ("0", "1"),
        ("8", "1"),
        ("8", "2"),
    ]
    text = markdown.to_markdown(rows.summarize(records_))
    assert [line.rpartition(", ")[2] for line in text.splitlines() if line.startswith("## ")] == [
        "common recipe",
        "no tuning",
        "8 tuning trials",
    ]
    assert "- Matched: 12,000 examples a run, batch size 64, common recipe, 8 tuning" in text


@pytest.mark.parametrize(
    ("kind", "amount", "text"),
    [
        ("flops", 1e15, "1e+15 training FLOPs"),
        ("flops", 1.23451e15, "1.23451e+15 training FLOPs"),
        ("seconds", 90, "90 seconds of training on H200"),
    ],
)
def test_a_heading_has_the_unit_of_the_budget(run, kind, amount, text):
    record = spent(run("a", 0, 0.9, hardware={"device_kind": "H200"}), kind, amount)
    assert text in markdown.to_markdown(rows.summarize([record])).splitlines()[2]


def test_what_was_spent_waited_for_and_not_read_has_columns(run):
    runs = [run("a", 0, 0.9, unreadable_examples={"train": 2, "test": 1}), run("b", 0, 0.8)]
    row, older = rows_of(runs)
    assert (row["examples_spent"], row["train_flops_spent"]) == ("12032", "2700000000000")
    assert row["train_seconds_spent"] == "8.5"
    assert float(row["input_wait_share"]) == pytest.approx(0.1 / 8.5)
    assert (row["unreadable_examples"], older["unreadable_examples"]) == ("3", "")


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"init_from": "runs/a"}, "from runs/a"),
        (
            {"init_from": "runs/a", "transfer": {"frozen_stages": "all"}},
            "from runs/a, all but the head frozen",
        ),
        (
            {"transfer": {"frozen_stages": "stem", "backbone_learning_rate": 0.1}},
            "stem frozen, backbone at 0.1 of the learning rate",
        ),
    ],
)
def test_runs_that_began_otherwise_are_ranked_apart(run, changes, start):
    plain = {"transfer": {"frozen_stages": "", "backbone_learning_rate": 1.0}, "init_from": ""}
    tables = rows.summarize(
        [
            run("a", 0, 0.9),
            run("b", 0, 0.8, config=CONFIG | plain),
            run("c", 0, 0.7, config=CONFIG | changes),
        ]
    )
    assert [[row.model for row in table.rows] for table in tables] == [["a", "b"], ["c"]]
    assert tables[1].group.start == start
    assert start in headings.title(tables[1].group)
