"""leaderboard.json: what the CSV has, with full intervals, and every paired difference as SciPy finds it."""

import csv
import io
import json

import pytest
import scipy.stats

from results import leaderboard
from results.rankings import rows
from results.tables import columns, document

SCORES = {"a": [0.90, 0.92, 0.95], "b": [0.91, 0.90, 0.92], "c": [0.50, 0.53, 0.52]}


@pytest.fixture
def tables(run):
    runs = [run(name, seed, top1) for name, by in SCORES.items() for seed, top1 in enumerate(by)]
    return rows.summarize([*runs, run("failed", 0, status="crashed", error="Killed.")])


@pytest.fixture
def ranking(tables):
    (ranking,) = json.loads(document.to_json(tables))["rankings"]
    return ranking


def test_rows_have_every_column_with_the_values_of_the_csv(tables, ranking):
    rows = list(csv.DictReader(io.StringIO(leaderboard.to_csv(tables))))
    assert [row["model"] for row in ranking["rows"]] == [row["model"] for row in rows]
    for row, expected in zip(ranking["rows"], rows, strict=True):
        for column in columns.COLUMNS:
            value = row[column.name]
            value = value["mean"] if isinstance(value, dict) else value
            if isinstance(value, int | float):
                assert value == pytest.approx(float(expected[column.name]), rel=1e-7)
            else:
                assert (value or "") == expected[column.name]


def test_a_mean_has_its_count_deviation_and_interval_and_a_score_its_seeds(ranking):
    row = ranking["rows"][0]
    low, high = scipy.stats.t.interval(
        0.95, 2, loc=row["top1"]["mean"], scale=scipy.stats.sem(SCORES["a"])
    )
    assert row["top1"] == pytest.approx(
        {"count": 3, "mean": 0.92333333333, "std": 0.02516611478, "low": low, "high": high}
    )
    assert row["score"] == row["top1"]
    assert row["scores"] == {"0": 0.90, "1": 0.92, "2": 0.95}
    assert ranking["primary_metric"] == "top1"


def test_all_pairs_have_scipys_paired_interval(ranking):
    pairs = {(p["first"]["model"], p["second"]["model"]): p for p in ranking["differences"]}
    assert set(pairs) == {("a", "b"), ("a", "c"), ("b", "c")}
    for (first, second), pair in pairs.items():
        test = scipy.stats.ttest_rel(SCORES[first], SCORES[second])
        interval = test.confidence_interval(0.95)
        difference = pair["difference"]
        assert (difference["low"], difference["high"]) == pytest.approx(
            (interval.low, interval.high)
        )
        assert difference["count"] == test.df + 1
        assert pair["same_rank"] == (test.pvalue >= 0.05)


def test_the_group_tells_what_was_matched(ranking):
    assert ranking["group"]["budget_amount"] == 12_000
    assert ranking["title"].startswith("digits 1.0.0 (test): 12,000 examples")


def test_one_seed_in_common_has_a_difference_and_no_interval(run):
    tables = rows.summarize([run("a", 0, 0.9), run("b", 0, 0.75)])
    (pair,) = document.document(tables)["rankings"][0]["differences"]
    assert pair["difference"] == pytest.approx(
        {"count": 1, "mean": 0.15, "std": None, "low": None, "high": None}
    )


def test_no_seed_in_common_has_no_difference(run):
    tables = rows.summarize([run("a", 0, 0.9), run("b", 1, 0.75)])
    (pair,) = document.document(tables)["rankings"][0]["differences"]
    assert pair["difference"] is None


def test_of_a_long_ranking_each_row_is_compared_with_the_first_and_the_one_above(run):
    count = document.MOST_ROWS_IN_PAIRS + 1
    tables = rows.summarize([run(f"m{i:02}", 0, 0.9 - i / 100) for i in range(count)])
    pairs = document.document(tables)["rankings"][0]["differences"]
    compared = {(pair["first"]["model"], pair["second"]["model"]) for pair in pairs}
    assert len(pairs) == len(compared) == 2 * (count - 1) - 1
    assert {("m00", "m60"), ("m59", "m60"), ("m00", "m01")} <= compared
    assert ("m01", "m03") not in compared
