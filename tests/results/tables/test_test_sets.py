"""A ranking on several test sets: scores, ranks, and by how many places a model is better there."""

import dataclasses
import json

import pytest

from results import RecordError, records
from results.rankings import rows
from results.records import evaluations
from results.records.evaluations import Compression, EvaluationRecord
from results.tables import markdown, test_sets

# Equal differences over seeds would tell no two apart.
MAIN = {"a": [0.90, 0.9101], "b": [0.80, 0.81], "c": [0.70, 0.7102]}
SHIFTED = {"a": [0.40, 0.4101], "b": [0.60, 0.61], "c": [0.50, 0.5102]}


def evaluation_of(record, top1, name="v2", **changes) -> EvaluationRecord:
    made = EvaluationRecord(
        name=name,
        run_id=record.run_id,
        weights_digest=record.weights_digest,
        dataset="imagenet_v2",
        dataset_version="3.0.0",
        split="test",
        metrics={"top1": top1},
        examples=10_000,
        num_classes=1000,
        image_size=224,
        crop_fraction=0.875,
        command="python -m benchmarks.evaluate",
        finished_at="2025-01-01T00:00:00+00:00",
    )
    return dataclasses.replace(made, **changes)


@pytest.fixture
def runs(run):
    return {(m, s): run(m, s, top1) for m, by in MAIN.items() for s, top1 in enumerate(by)}


@pytest.fixture
def evaluated(runs):
    return [evaluation_of(runs[m, s], x) for m, by in SHIFTED.items() for s, x in enumerate(by)]


def tables(runs, evaluated):
    return rows.summarize(runs.values(), evaluations=evaluated)


def test_ranks_on_another_test_set_differ_by_their_places(runs, evaluated):
    (test_set,) = test_sets.of(*tables(runs, evaluated))
    places = {model: (p.main_place, p.rank, p.change) for (model, _), p in test_set.places.items()}
    assert places == {"a": (1, 3, -2), "b": (2, 1, 1), "c": (3, 2, 1)}
    assert test_set.places["b", 32].score.mean == pytest.approx(0.605)
    assert test_set.places["b", 32].score.count == 2


def test_models_that_cannot_be_told_apart_there_share_a_rank(runs):
    close = {"a": [0.40, 0.41], "b": [0.41, 0.40], "c": [0.1, 0.1101]}
    evaluated = [evaluation_of(runs[m, s], x) for m, by in close.items() for s, x in enumerate(by)]
    (test_set,) = test_sets.of(*tables(runs, evaluated))
    places = [place for _, place in sorted(test_set.places.items())]
    # a and b have equal means, and keep their order.
    assert [(place.rank, place.place, place.change) for place in places] == [
        *((1, 1, 0), (1, 2, 0), (3, 3, 0)),
    ]


def test_a_shared_rank_is_no_gain_of_those_who_are_behind_elsewhere(runs):
    noisy = {"a": [0.9, 0.1], "b": [0.1, 0.8], "c": [0.7, 0.1]}
    evaluated = [evaluation_of(runs[m, s], x) for m, by in noisy.items() for s, x in enumerate(by)]
    (test_set,) = test_sets.of(*tables(runs, evaluated))
    assert [(place.rank, place.change) for _, place in sorted(test_set.places.items())] == [
        (1, 0)
    ] * 3


def test_ranks_are_among_the_models_evaluated_there(runs, evaluated):
    without_b = [each for each in evaluated if not each.run_id.startswith("b")]
    (test_set,) = test_sets.of(*tables(runs, without_b))
    places = {model: (p.main_place, p.rank) for (model, _), p in test_set.places.items()}
    assert places == {"a": (1, 2), "c": (2, 1)}


def test_evaluations_of_other_examples_or_classes_are_other_test_sets(runs):
    other = [
        evaluation_of(runs["a", 0], 0.5),
        evaluation_of(runs["b", 0], 0.5, examples=9_999),
        evaluation_of(runs["c", 0], 0.5, num_classes=200),
    ]
    assert [len(test_set.places) for test_set in test_sets.of(*tables(runs, other))] == [1, 1, 1]


def test_compressed_weights_are_no_test_set(runs):
    small = evaluation_of(runs["a", 0], 0.5, compression=Compression(8, 0.67, 4, 1000, 20_000))
    assert test_sets.of(*tables(runs, [small])) == []


def test_every_form_shows_the_ranks_and_their_change(runs, evaluated, tmp_path, command_here):
    for record in runs.values():
        records.write(record, records.record_path(tmp_path, record.run_id))
    for each in evaluated:
        evaluations.write(each, records.record_path(tmp_path, each.run_id).parent)
    ended = command_here("results.leaderboard", tmp_path, f"--out={tmp_path}")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "v2: imagenet_v2 3.0.0 test, 10,000 examples, 1,000 classes" in ended.stdout
    assert "1 (+1)" in ended.stdout
    text = (tmp_path / "leaderboard.md").read_text()
    # 0.605 ± t(0.975, 1) * 0.00707 / sqrt(2) = 0.605 ± 0.0635310
    assert "| 2 | `b` | 32 | 80.50 ± 6.35 | 60.50 ± 6.35 | 1 (+1) |" in text
    document = json.loads((tmp_path / "leaderboard.json").read_text())
    (test_set,) = document["rankings"][0]["test_sets"]
    assert [(p["model"], p["rank"], p["change"]) for p in test_set["places"]] == [
        *(("b", 1, 1), ("c", 2, 1), ("a", 3, -2)),
    ]


def test_a_ranking_without_evaluations_has_no_such_table(runs):
    assert "On other test sets" not in markdown.to_markdown(tables(runs, []))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights_digest": "0"}, "its weights are not those of its run's record"),
        ({"run_id": "z-9"}, "there is no record of its run 'z-9'"),
        ({"schema_version": evaluations.SCHEMA_VERSION + 1}, "update the suite"),
        ({"metrics": 3}, "the field 'metrics' must be a mapping"),
        ({"name": "real"}, "it calls itself 'real', not 'v2'"),
    ],
)
def test_an_evaluation_that_cannot_be_used_is_named_and_left_out(
    runs, tmp_path, command_here, change, sentence
):
    record = runs["a", 0]
    path = records.record_path(tmp_path, record.run_id)
    records.write(record, path)
    written = evaluations.write(evaluation_of(record, 0.5), path.parent)
    written.write_text(json.dumps(json.loads(written.read_text()) | change))
    ended = command_here("results.leaderboard", tmp_path)
    assert ended.returncode == 0
    assert ended.stderr.startswith(f"Left out: {written}: ")
    assert sentence in ended.stderr


def test_half_an_evaluation_is_left_out(runs, tmp_path):
    record = runs["a", 0]
    path = records.record_path(tmp_path, record.run_id)
    records.write(record, path)
    evaluations.write(evaluation_of(record, 0.5), path.parent).write_text('{"name"')
    kept, (problem,) = evaluations.load_all([tmp_path], [record])
    assert kept == []
    assert "only half of it" in problem.reason


@pytest.mark.parametrize("name", ["", "../x", ".hidden"])
def test_a_name_that_is_no_files_name_is_refused(tmp_path, name):
    with pytest.raises(RecordError, match="must name a file"):
        evaluations.path_of(tmp_path, name)


def test_evaluations_of_two_runs_of_one_name_go_to_the_run_with_their_weights(runs, tmp_path):
    first = runs["a", 0]
    budget = dataclasses.replace(first.budget, amount=first.budget.amount * 2)
    second = dataclasses.replace(first, budget=budget, weights_digest="2")
    for place, record, top1 in (("x", first, 0.5), ("y", second, 0.6)):
        path = records.record_path(tmp_path / place, record.run_id)
        records.write(record, path)
        evaluations.write(evaluation_of(record, top1), path.parent)
    places = [tmp_path / "y", tmp_path / "x"]
    loaded, _ = records.load_all(places)
    kept, problems = evaluations.load_all(places, loaded)
    assert not problems
    assert {each.run_id: each.metrics["top1"] for each in kept} == {
        f"x/{first.run_id}": 0.5,
        f"y/{first.run_id}": 0.6,
    }


def test_an_evaluation_of_version_1_says_nothing_of_how_pictures_were_fed(runs, tmp_path):
    written = evaluations.write(evaluation_of(runs["a", 0], 0.5), tmp_path)
    value = json.loads(written.read_text()) | {"schema_version": 1}
    del value["needs"]
    written.write_text(json.dumps(value))
    assert evaluations.read(written).needs == {}
