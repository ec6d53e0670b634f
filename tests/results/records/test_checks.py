"""A record that makes no sense is refused by the name of its field, and loses nobody else's place."""

import contextlib
import dataclasses
import io
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from results import RecordError, leaderboard, page, records
from results.rankings import load
from results.rankings import rows as rankings
from results.records import evaluations, layout
from results.tables import document

EVALUATION = evaluations.EvaluationRecord(
    name="other",
    run_id="odd-0",
    weights_digest="ab" * 32,
    dataset="digits",
    dataset_version="1.0.0",
    split="test",
    metrics={"top1": 0.5, "loss": 1.0},
    examples=10,
    num_classes=10,
    image_size=32,
    crop_fraction=0.875,
    command="python -m benchmarks.evaluate",
    finished_at="2025-01-01T00:00:00+00:00",
    compression=evaluations.Compression(8, 0.5, 4, 100, 400),
)


def replaced(tree, path, value):
    key, *rest = path
    inner = replaced(tree[key], rest, value) if rest else value
    if isinstance(tree, list):
        return [inner if i == key else item for i, item in enumerate(tree)]
    return tree | {key: inner}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("metrics.test.top1", 95.2, "be a fraction from 0 to 1, not 95.2"),
        ("metrics.test.top1", -3.0, "be a fraction from 0 to 1, not -3.0"),
        ("metrics.validation.top1", "Infinity", "be a fraction from 0 to 1, not inf"),
        ("metrics.test.loss", 1e200, "be at most 1e100"),
        ("budget.amount", "NaN", "be a number above 0, to 1e100, not nan"),
        ("budget.amount", 0, "be a number above 0"),
        ("budget.batch_size", 0, "be a whole number from 1"),
        ("budget.steps", -1, "be a whole number from 0"),
        ("model.image_size", 0, "be a whole number from 1"),
        ("model.parameters", 10**30, "be a whole number from 0 to 2^63 - 1"),
        ("dataset.test_examples", -5, "be a whole number from 0"),
        ("seed", 2**70, "be a whole number of 64 bits"),
        ("timings.train_seconds", -1.0, "be a number from 0"),
        ("throughput.infer_images_per_second", "-Infinity", "be a number from 0"),
        ("accumulation", 0, "be a whole number from 1"),
        ("config.transfer", "x", "be a mapping, not 'x'"),
        ("config.transfer", {"frozen_stages": 3}, "be a string, not 3"),
        (
            "config.transfer",
            {"backbone_learning_rate": "x"},
            "be a number from 0 to 1e100, not 'x'",
        ),
        ("config.init_from", ["a"], "be a string"),
        ("config.tuning_trials", "eight", "be a whole number from 0"),
        ("hardware.memory_bytes", "big", "be a number"),
        ("hardware.device_count", "two", "be a whole number from 1"),
        ("hardware.peak_flops_per_second", True, "be a number above 0"),
        ("unreadable_examples", {"train": -1}, "be a whole number from 0"),
    ],
)
def test_a_value_out_of_range_is_named(make, path, value, words):
    tree = json.loads(records.to_json(make()))
    path = path.split(".")
    with pytest.raises(RecordError) as caught:
        records.from_json(json.dumps(replaced(tree, path, value)))
    assert words in str(caught.value)
    assert f"'{'.'.join(path)}" in str(caught.value)


def test_what_runs_do_measure_is_in_range(make):
    diverged = make(metrics=records.Metrics({}, {"top1": math.nan, "loss": math.inf}))
    assert math.isnan(records.from_json(records.to_json(diverged)).metrics.test["top1"])
    rounded = make(metrics=records.Metrics({}, {"top1": 1 + 1e-7}))
    assert records.from_json(records.to_json(rounded)) == rounded


@pytest.mark.parametrize(
    "config",
    [{"transfer": None}, {"transfer": {"frozen_stages": None, "backbone_learning_rate": None}}],
    ids=str,
)
def test_what_is_null_was_not_set(make, config):
    plain, null = make("a", config={}), make("b", config=config)
    assert len(rankings.summarize([plain, records.from_json(records.to_json(null))])) == 1


@pytest.mark.parametrize("text", ["[" * n + "]" * n for n in (60, 900, 100_000)])
def test_values_nested_too_deeply_are_refused(make, text):
    whole = records.to_json(make(config={"deep": "HERE"})).replace('"HERE"', text)
    with pytest.raises(RecordError):
        records.from_json(whole)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["metrics", "top1"], 95.2),
        (["examples"], -1),
        (["num_classes"], 0),
        (["finished_at"], "yesterday"),
        (["compression", "sparsity"], 2.0),
        (["compression", "weight_bits"], 64),
        (["compression"], [1]),
    ],
    ids=str,
)
def test_an_evaluation_out_of_range_is_left_out_by_name(make, tmp_path, path, value):
    record = make("odd-0")
    folder = records.record_path(tmp_path, record.run_id).parent
    records.write(record, folder / "record.json")
    written = evaluations.write(EVALUATION, folder)
    assert evaluations.load_all([tmp_path], [record])[1] == []
    written.write_text(json.dumps(replaced(json.loads(written.read_text()), path, value)))
    loaded, (problem,) = evaluations.load_all([tmp_path], [record])
    assert loaded == []
    assert problem.path == written
    assert str(path[-1]) in problem.reason


def test_of_two_evaluations_that_do_not_agree_the_earlier_is_named(make, tmp_path):
    record = make("odd-0")
    later = dataclasses.replace(
        EVALUATION, finished_at="2025-02-01T00:00:00+00:00", metrics={"top1": 0.25}
    )
    for name, evaluation in (("a", later), ("b", EVALUATION), ("c", later)):
        path = records.record_path(tmp_path / name, record.run_id)
        records.write(record, path)
        evaluations.write(evaluation, path.parent)
    directories = [tmp_path / name for name in "abc"]
    loaded, (problem,) = evaluations.load_all(directories, [record])
    assert loaded == [later]
    assert problem.path.is_relative_to(tmp_path / "b")
    assert "another evaluation of run 'odd-0'" in problem.reason


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**63, 10**30, 10**400, 1e308, 5e-324, 95.2, -3.0]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["NaN", "Infinity", "-Infinity", "", "x", "[/red]", "{}", "\ud800", "\0", "a\nb"]
    ),
    st.text(max_size=5),
    st.lists(st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=3), max_size=3),
)


@st.composite
def mutations(draw, tree):
    """Draws a copy of the tree in which something is replaced, gone or new."""
    path, node = [], tree
    while isinstance(node, dict | list) and node and (not path or draw(st.integers(0, 3))):
        keys = sorted(node) if isinstance(node, dict) else range(len(node))
        path.append(draw(st.sampled_from(keys)))
        node = node[path[-1]]
    kind = draw(st.sampled_from(["replace", "replace", "drop", "add"]))
    if kind == "drop":
        *above, last = path
        parent = tree
        for key in above:
            parent = parent[key]
        if isinstance(parent, dict):
            left = {key: value for key, value in parent.items() if key != last}
            return replaced(tree, above, left) if above else left
    if kind == "add" and isinstance(node, dict):
        return replaced(tree, path, node | {draw(st.text(max_size=5)): draw(ODD)})
    return replaced(tree, path, draw(ODD))


def odd_record(make_record):
    """Returns a record in which every field holds something, as JSON values."""
    record = make_record(
        "odd-0",
        failure=records.Failure(3, 1.0, 2.0),
        unreadable_examples={"train": 1},
        accumulation=1,
        remat=False,
        peak_memory_bytes=1000,
        decision=records.Decision({"a": 0.5}, 1.0),
        positive_weights={"a": 2.0},
        plugins=(records.Plugin("mine", "mine", "1.0", "ab" * 32),),
        config={
            "init_from": "",
            "transfer": {"frozen_stages": "", "backbone_learning_rate": 1.0},
            "tuning": {"optimizer": {"learning_rate": [0.1, 1.0]}},
            "tuning_trials": 8,
            "augmentation": {"crop": "center", "changes": ["flip"], "shift": {"zoom": 1.1}},
            "optimizer": {
                "name": "sgd",
                "schedule": "step",
                "learning_rate": 0.1,
                "model_learning_rates": {"resnet18": 0.2},
            },
        },
        hardware={
            "platform": "cpu",
            "device_kind": "cpu",
            "device_count": 1,
            "cpu": "AMD",
            "cpu_cores": 2,
            "memory_bytes": 2**34,
            "peak_flops_per_second": 1e12,
        },
    )
    return record, json.loads(records.to_json(record))


def everything(tables, folders, tmp_path):
    """Returns the text of every kind of output of the tables."""
    console = Console(width=300, file=io.StringIO(), color_system=None)
    leaderboard.print_tables(tables, console)
    page.write(tables, tmp_path, folders)
    html = (tmp_path / "index.html").read_text()
    texts = [leaderboard.to_markdown(tables), leaderboard.to_csv(tables)]
    for text in texts:
        text.encode(errors="backslashreplace")
    return [*texts, document.to_json(tables), console.file.getvalue(), html]


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_in_one_record_the_others_are_ranked(make_record, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz", numbered=True)
    record, tree = odd_record(make_record)
    for _ in range(data.draw(st.integers(1, 2))):
        tree = data.draw(mutations(tree))
        if not isinstance(tree, dict):
            break
    text = json.dumps(tree)
    with contextlib.suppress(RecordError):
        records.to_json(records.from_json(text))
    odd = records.record_path(folder, "odd-0")
    odd.parent.mkdir(parents=True)
    odd.write_text(text)
    layout.metrics_in(odd.parent).write_text(
        '{"step": 1, "train/loss": 1}\n{"step": 2, "train/loss": 1}\n'
    )
    sound = dataclasses.replace(
        record, run_id="sound-0", model=dataclasses.replace(record.model, name="sound")
    )
    records.write(sound, records.record_path(folder, "sound-0"))
    loaded = load.rankings([folder])
    assert all("sound" in each for each in everything(loaded.tables, loaded.folders, folder))
    names = {run.run_id for table in loaded.tables for row in table.rows for run in row.runs}
    assert "sound-0" in names
    assert len(names) + len(loaded.problems) == 2


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_is_in_an_evaluation_it_is_read_or_named(make_record, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz", numbered=True)
    record, _ = odd_record(make_record)
    path = records.record_path(folder, record.run_id)
    records.write(record, path)
    written = evaluations.write(EVALUATION, path.parent)
    written.write_text(json.dumps(data.draw(mutations(json.loads(written.read_text())))))
    loaded = load.rankings([folder])
    assert all("resnet18" in each for each in everything(loaded.tables, loaded.folders, folder))


@given(
    lines=st.lists(st.dictionaries(st.sampled_from(["step", "train/loss", "train_seconds"]), ODD))
)
@settings(max_examples=100, deadline=None)
def test_whatever_is_in_learning_curves_the_page_is_made(make_record, tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("fuzz", numbered=True)
    record = make_record("a-0")
    path = records.record_path(folder, record.run_id)
    records.write(record, path)
    good = [{"step": 1, "train/loss": 2.0}, {"step": 2, "train/loss": 1.0}]
    layout.metrics_in(path.parent).write_text("\n".join(map(json.dumps, [*lines, *good])))
    loaded = load.rankings([folder])
    page.write(loaded.tables, folder, loaded.folders)


def test_damaged_lines_of_learning_curves_are_named(make, tmp_path, command_here):
    path = records.record_path(tmp_path, "a-0")
    records.write(make("a-0"), path)
    metrics = layout.metrics_in(path.parent)
    good = '{"step": 1, "train/loss": 2.0}\n{"step": 2, "train/loss": 1.0}\n'
    metrics.write_text(good)
    assert command_here("results.leaderboard", tmp_path, f"--out={tmp_path}").stderr == ""
    metrics.write_text(good + '\n\0\0\0\n{"step": 3, "tra')
    ended = command_here("results.leaderboard", tmp_path, f"--out={tmp_path}")
    assert ended.returncode == 0
    assert f"Left out: {metrics}: 2 of its 4 lines cannot be read" in ended.stderr
