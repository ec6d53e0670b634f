"""Two leaderboards compared: ranks, differences with SciPy's intervals, costs, and what is not matched."""

import contextlib
import dataclasses
import io
import json
import math

import pytest
import scipy.stats
from absl import flags
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from results import RecordError, compare, records
from results.compare import __main__ as compare_command
from results.compare import report
from results.compare.load import load
from results.rankings import rows
from results.records import Throughput
from results.tables import document

BEFORE = {"up": [0.70, 0.71, 0.72], "same": [0.80, 0.82, 0.81], "gone": [0.5, 0.5, 0.51]}
AFTER = {"up": [0.90, 0.92, 0.91], "same": [0.81, 0.81, 0.815], "new": [0.6, 0.6, 0.61]}


def runs_of(run, scores, seeds=None, **changes):
    return [
        run(name, seed, top1, **changes)
        for name, by in scores.items()
        for seed, top1 in zip(seeds or range(len(by)), by, strict=True)
    ]


def documented(run_records):
    return json.loads(document.to_json(rows.summarize(run_records)))


def compared(first, second):
    (comparison,), alone = compare.compare(documented(first), documented(second))
    assert alone == []
    return comparison, {change.model: change for change in comparison.changes}


def changed(run_records, part, **changes):
    return [
        dataclasses.replace(each, **{part: dataclasses.replace(getattr(each, part), **changes)})
        for each in run_records
    ]


def test_same_seeds_are_compared_in_pairs(run):
    _, changes = compared(runs_of(run, BEFORE), runs_of(run, AFTER))
    for name, verdict in (("up", "better"), ("same", "no difference shown")):
        expected = scipy.stats.ttest_rel(AFTER[name], BEFORE[name]).confidence_interval(0.95)
        difference = changes[name].difference
        assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))
        assert (changes[name].method, changes[name].verdict) == ("paired", verdict)
    assert changes["up"].difference.mean == pytest.approx(0.2)


def test_other_seeds_are_compared_by_welch(run):
    _, changes = compared(runs_of(run, BEFORE), runs_of(run, AFTER, seeds=(7, 8, 9)))
    test = scipy.stats.ttest_ind(AFTER["up"], BEFORE["up"], equal_var=False)
    expected = test.confidence_interval(0.95)
    difference = changes["up"].difference
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))
    assert changes["up"].method == "Welch"


def test_one_seed_has_a_change_and_no_verdict(run):
    _, changes = compared([run("a", 0, 0.5)], [run("a", 0, 0.75)])
    assert changes["a"].difference.mean == pytest.approx(0.25)
    assert (changes["a"].method, changes["a"].verdict) == ("one seed", "one seed")


def test_ranks_and_models_of_only_one_are_told(run):
    comparison, changes = compared(runs_of(run, BEFORE), runs_of(run, AFTER))
    assert {name: change.ranks for name, change in changes.items()} == {
        "up": (2, 1),
        "same": (1, 2),
    }
    assert comparison.only == (("gone (32 px)",), ("new (32 px)",))


def test_a_model_that_failed_in_one_is_not_compared(run):
    failed = [run("a", 0, status="crashed")]
    _, changes = compared([run("a", 0, 0.5)], failed)
    assert (changes["a"].ranks, changes["a"].verdict) == ((1, None), "not in both")


def test_costs_are_ratios(run):
    faster = runs_of(run, AFTER, throughput=Throughput(2800.0, 2500.0))
    _, changes = compared(runs_of(run, BEFORE), faster)
    ratios = changes["up"].ratios
    assert ratios["parameters"] == 1
    assert ratios["train_images_per_second"] == pytest.approx(2.0)
    assert ratios["infer_images_per_second"] == pytest.approx(0.5)


def test_speeds_of_two_devices_are_not_compared_and_that_is_said(run):
    other = runs_of(run, AFTER, hardware={"device_kind": "H200"})
    comparison, changes = compared(runs_of(run, BEFORE), other)
    assert comparison.warnings == (
        "The devices differ: cpu in A, H200 in B; speeds and memory are not compared.",
    )
    assert set(changes["up"].ratios) == {"parameters", "macs"}


@pytest.mark.parametrize(
    ("part", "change", "sentence"),
    [
        ("budget", {"amount": 24_000.0}, "The budget amount differs: 12,000 in A, 24,000 in B."),
        ("dataset", {"name": "cifar10"}, "The dataset differs: digits in A, cifar10 in B."),
        ("dataset", {"test_split": "val"}, "The test split differs: test in A, val in B."),
    ],
)
def test_what_was_not_matched_is_said(run, part, change, sentence):
    comparison, _ = compared(runs_of(run, BEFORE), changed(runs_of(run, AFTER), part, **change))
    assert comparison.warnings == (sentence,)


def test_rankings_are_compared_with_those_they_match(run):
    def two(scores):
        runs = runs_of(run, scores)
        more = changed(runs, "budget", amount=24_000.0)
        return runs + [dataclasses.replace(each, run_id=f"{each.run_id}-more") for each in more]

    comparisons, alone = compare.compare(documented(two(BEFORE)), documented(two(AFTER)))
    assert [each.warnings for each in comparisons] == [(), ()]
    assert alone == []
    comparisons, alone = compare.compare(documented(two(BEFORE)), documented(runs_of(run, AFTER)))
    assert len(comparisons) == 1
    assert alone == [
        "Only in A: digits 1.0.0 (test): 24,000 examples, batch size 64, common recipe"
    ]


def test_command_compares_folders_and_files_and_writes_what_it_prints(run, tmp_path, command_here):
    for name, scores in (("a", BEFORE), ("b", AFTER)):
        for record in runs_of(run, scores):
            records.write(record, records.record_path(tmp_path / name, record.run_id))
    made = command_here("results.leaderboard", tmp_path / "a", f"--out={tmp_path}")
    assert made.returncode == 0
    out = [f"--out={tmp_path / 'c.md'}", f"--out={tmp_path / 'c.json'}"]
    ended = command_here("results.compare", tmp_path / "leaderboard.json", tmp_path / "b", *out)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Only in A: gone (32 px)" in ended.stdout
    line = (
        "| `up` | 32 | 2 → 1 | 71.00 ± 2.48 | 91.00 ± 2.48 | +20.00 ± 2.48 | better, paired | = |"
    )
    assert line in (tmp_path / "c.md").read_text()
    (written,) = json.loads((tmp_path / "c.json").read_text())["comparisons"]
    assert [change["verdict"] for change in written["changes"]] == ["better", "no difference shown"]


def test_an_earlier_leaderboards_mobilenet_is_the_network_that_it_was(run, tmp_path):
    table = rows.summarize([run("mobilenet_v1", 0, 0.5)])
    written = json.loads(document.to_json(table))
    path = tmp_path / "leaderboard.json"
    models = {}
    for version in (1, 2):
        path.write_text(json.dumps(written | {"schema_version": version}))
        (row,) = load(str(path))[0]["rankings"][0]["rows"]
        models[version] = row["model"]
    assert models == {1: "mobilenet_v1:epsilon=1e-05,padding=torch", 2: "mobilenet_v1"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "only half of it"),
        ("[]", "not a leaderboard.json"),
        ('{"schema_version": 99, "rankings": []}', "newer version"),
        ('{"schema_version": 1, "rankings": [{}]}', "not a leaderboard.json as this version"),
        (None, "there is no folder"),
    ],
)
def test_a_mistake_is_one_sentence_with_status_2(run, tmp_path, command_here, text, sentence):
    record = run("a", 0, 0.5)
    records.write(record, records.record_path(tmp_path, "a-0"))
    path = tmp_path / "leaderboard.json"
    if text is not None:
        path.write_text(text)
    ended = command_here("results.compare", tmp_path, path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: ")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_out_of_another_kind_is_refused_before_anything_is_written(run, tmp_path, command_here):
    records.write(run("a", 0, 0.5), records.record_path(tmp_path, "a-0"))
    out = [f"--out={tmp_path / 'c.md'}", f"--out={tmp_path / 'c.html'}"]
    ended = command_here("results.compare", tmp_path, tmp_path, *out)
    assert ended.returncode == 2
    assert "--out ends with .md or .json" in ended.stderr
    assert not (tmp_path / "c.md").exists()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_score_and_change_is_whole_at_every_width(run, width):
    before, after = runs_of(run, BEFORE), runs_of(run, AFTER, throughput=Throughput(2800.0, 2500.0))
    console = Console(width=width, file=io.StringIO(), color_system=None)
    comparisons = compare.compare(documented(before), documented(after))
    report.print_comparisons(*comparisons, console)
    text = console.file.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for whole in ("2 → 1", "71.00 ± 2.48", "91.00 ± 2.48", "+20.00 ± 2.48", "x0.5", "x2"):
        assert whole in text


@pytest.mark.parametrize("paths", [[], ["a"], ["a", "b", "c"]])
def test_there_are_two_to_compare(command_here, paths):
    ended = command_here("results.compare", *paths)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"error: say two leaderboards to compare, A and B; there are {len(paths)}.\n"
    )


@pytest.mark.parametrize("seeds", [None, (7, 8, 9)])
def test_equal_on_all_seeds_is_no_verdict(run, seeds):
    before = {"a": [0.5, 0.5, 0.5]}
    _, changes = compared(runs_of(run, before), runs_of(run, {"a": [0.6, 0.6, 0.6]}, seeds))
    assert changes["a"].verdict == "equal on all seeds, no interval"
    assert changes["a"].difference.interval is None


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_is_in_a_leaderboard_it_is_compared_or_a_mistake(
    make_record, tmp_path_factory, data
):
    table = rows.summarize([make_record("a"), make_record("b", seed=1)])
    tree = json.loads(document.to_json(table))
    node = tree
    while True:
        key = data.draw(
            st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node)))
        )
        inner = node[key]
        if not (isinstance(inner, dict | list) and inner and data.draw(st.booleans())):
            break
        node = inner
    odd = [None, True, -1, 1.5, 10**400, "x", "", [], {}, [1], {"a": 1}, math.nan]
    node[key] = data.draw(st.sampled_from(odd))
    folder = tmp_path_factory.getbasetemp()
    (folder / "odd.json").write_text(json.dumps(tree))
    (folder / "sound.json").write_text(document.to_json(table))
    before = set(flags.FLAGS)
    try:
        compare_command.define_flags()
        flags.FLAGS(["results.compare"])
        with contextlib.suppress(RecordError):
            compare_command.main([str(folder / "odd.json"), str(folder / "sound.json")])
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
