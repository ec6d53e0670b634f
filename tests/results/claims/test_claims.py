"""The literature's statements: a verdict only from counts, or from intervals over seeds that exclude the other side."""

import dataclasses
import json
import math

import pytest
import scipy.stats

from isobudget import earlier
from results import claims, records
from results.claims import STATEMENTS
from results.rankings import rows
from results.rankings.statistics import paired_ratio
from results.records import Model, Throughput, evaluations
from results.records.evaluations import Compression, EvaluationRecord

# Parameters, and top-1 of three seeds.
MEASURED = {
    "alexnet": (61_100_840, [0.60, 0.61, 0.62]),
    "vgg16": (138_357_544, [0.70, 0.71, 0.72]),
    "vgg19": (143_667_240, [0.72, 0.73, 0.74]),
    "googlenet": (6_624_904, [0.74, 0.75, 0.76]),
    "plain18": (11_000_000, [0.70, 0.71, 0.72]),
    "plain34": (21_000_000, [0.65, 0.66, 0.67]),
    "resnet18": (11_689_512, [0.70, 0.71, 0.72]),
    "resnet34": (21_797_672, [0.73, 0.74, 0.75]),
    "resnet50": (25_557_032, [0.76, 0.77, 0.78]),
    "resnet101": (44_549_160, [0.77, 0.78, 0.79]),
    "resnet152": (60_192_808, [0.78, 0.79, 0.80]),
    "squeezenet1_0": (1_248_424, [0.60, 0.61, 0.62]),
    "mobilenet_v1": (4_231_976, [0.70, 0.71, 0.72]),
    "mobilenet_v1:width=0.5": (1_331_592, [0.65, 0.66, 0.67]),
    "mobilenet_v1:width=0.25": (470_072, [0.50, 0.51, 0.52]),
    "mobilenet_v1:depthwise=false": (29_294_088, [0.71, 0.72, 0.73]),
}
IMAGES_PER_SECOND = {"vgg16": 100.0, "vgg19": 80.0}
KEYS = {each.check.__name__: each.text for each in STATEMENTS}


@pytest.fixture
def ranking(run):
    """Returns a function to the records of `MEASURED`, with some of it changed.

    No two models differ by the same on all seeds, which would be no interval.
    """

    def ranking(seeds=3, without=(), num_classes=1000, **changed):
        made = []
        for place, (label, (parameters, top1s)) in enumerate((MEASURED | changed).items()):
            name, _, option = label.partition(":")
            key, _, value = option.partition("=")
            options = (
                {key: {"false": False}.get(value) if value == "false" else float(value)}
                if key
                else {}
            )
            model = Model(name, options, 224, num_classes, parameters, 0, 100 * parameters)
            for seed in range(seeds if label not in without else 0):
                speed = IMAGES_PER_SECOND.get(label, 1000.0) * (
                    1 + seed / 100 + 1e-5 * place * seed
                )
                record = run(
                    name,
                    seed,
                    top1s[seed] + 0.001 * (seed == 1) + 1e-5 * place * (seed == 2),
                    run_id=f"{label}-{seed}".replace(":", "-"),
                )
                made.append(
                    dataclasses.replace(record, model=model, throughput=Throughput(100.0, speed))
                )
        return made

    return ranking


def verdicts(run_records, evaluated=()):
    (table,) = rows.summarize(run_records, evaluations=evaluated)
    keys = {text: key for key, text in KEYS.items()}
    return {keys[each.statement.text]: each.verdict for each in claims.check(table)}


def figures(run_records, key):
    (table,) = rows.summarize(run_records)
    (finding,) = (each for each in claims.check(table) if each.statement.text == KEYS[key])
    return [check.text for check in finding.checks]


def test_every_statement_holds_where_the_records_say_so(ranking):
    assert verdicts(ranking()) == dict.fromkeys(KEYS, "holds") | {"compression": "not measured"}


def test_nothing_measured_is_no_verdict(run):
    assert set(verdicts([run("other", 0, 0.5)]).values()) == {"not measured"}


def test_with_one_seed_only_counts_are_judged(ranking):
    counted = {"alexnet_size", "depthwise"}
    assert verdicts(ranking(seeds=1)) == {
        key: "holds" if key in counted else "not measured" for key in KEYS
    }
    assert any("needs several seeds" in text for text in figures(ranking(seeds=1), "mobilenet"))


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("alexnet_size", {"alexnet": (59_999_999, [0.60, 0.61, 0.62])}),
        ("vgg", {"vgg16": (122_000_000, [0.70, 0.71, 0.72])}),
        ("vgg", {"vgg19": (143_667_240, [0.60, 0.62, 0.61])}),
        ("inception", {"googlenet": (14_000_000, [0.74, 0.75, 0.76])}),
        ("inception", {"googlenet": (6_624_904, [0.60, 0.61, 0.62])}),
        ("residual", {"plain34": (21_000_000, [0.76, 0.74, 0.73])}),
        ("residual", {"plain18": (11_000_000, [0.60, 0.61, 0.62])}),
        ("depth", {"resnet101": (44_549_160, [0.70, 0.78, 0.80])}),
        ("squeezenet", {"squeezenet1_0": (1_400_000, [0.60, 0.61, 0.62])}),
        ("squeezenet", {"squeezenet1_0": (1_248_424, [0.58, 0.59, 0.60])}),
        ("mobilenet", {"mobilenet_v1": (4_231_976, [0.60, 0.62, 0.61])}),
        ("mobilenet", {"squeezenet1_0": (4_300_000, [0.60, 0.61, 0.62])}),
        ("depthwise", {"mobilenet_v1:depthwise=false": (4_000_000, [0.71, 0.72, 0.73])}),
        ("width", {"mobilenet_v1:width=0.5": (1_331_592, [0.45, 0.46, 0.47])}),
        ("width", {"mobilenet_v1:width=0.5": (400_000, [0.65, 0.66, 0.67])}),
    ],
)
def test_a_statement_does_not_hold_where_one_figure_contradicts_it(ranking, key, changed):
    assert verdicts(ranking(**changed))[key] == "does not hold"


@pytest.mark.parametrize("key", ["mobilenet", "depthwise", "width"])
def test_statements_on_mobilenet_hold_for_those_that_pad_as_pytorch_does(ranking, key):
    padded = [
        dataclasses.replace(
            each,
            model=dataclasses.replace(
                each.model, options=earlier.completed_options(each.model.name, each.model.options)
            ),
        )
        for each in ranking()
    ]
    assert verdicts(padded)[key] == "holds"
    assert "mobilenet_v1:" in figures(padded, key)[0]
    # And of both kinds, the one that the name means is judged.
    both = [*padded, *(dataclasses.replace(each, run_id=f"{each.run_id}-b") for each in ranking())]
    assert verdicts(both)[key] == "holds"
    assert "padding" not in figures(both, key)[0]


def test_a_difference_whose_interval_spans_zero_does_not_hold(ranking):
    # 0.01, 0.05 and -0.01 (and 0.001 for the middle seed of both): mean above 0, interval not.
    scores = [0.61, 0.66, 0.61]
    expected = scipy.stats.ttest_rel(scores, [0.60, 0.61, 0.62]).confidence_interval(0.95)
    assert expected.low < 0 < expected.high
    changed = {"mobilenet_v1": (4_231_976, scores)}
    assert verdicts(ranking(**changed))["mobilenet"] == "does not hold"
    half_width = 50 * (expected.high - expected.low)
    shown = f"accuracy, mobilenet_v1 - squeezenet1_0 = +1.67 ± {half_width:.2f} points over 3 seeds"
    assert shown in figures(ranking(**changed), "mobilenet")[1]


def test_alexnet_is_counted_with_imagenets_classes(ranking):
    (text,) = figures(ranking(num_classes=10, alexnet=(57_044_810, [0.9] * 3)), "alexnet_size")
    assert text == "parameters: 57,044,810 with 10 classes, 61,100,840 with 1,000"


def test_speeds_of_two_devices_are_not_compared(ranking):
    runs = [
        dataclasses.replace(each, hardware={"device_kind": "H200"})
        if each.model.name == "vgg16"
        else each
        for each in ranking()
    ]
    assert verdicts(runs)["vgg"] == "not measured"


def test_a_missing_resnet_leaves_depth_not_measured_unless_refuted(ranking):
    assert verdicts(ranking(without=("resnet152",)))["depth"] == "not measured"
    worse = {"resnet50": (25_557_032, [0.60, 0.61, 0.62])}
    assert verdicts(ranking(without=("resnet152",), **worse))["depth"] == "does not hold"


def compressed(record, top1, name="compressed-6bit", size=500_000, split="test"):
    return EvaluationRecord(
        name=name,
        run_id=record.run_id,
        weights_digest=record.weights_digest,
        dataset=record.dataset.name,
        dataset_version="1.0.0",
        split=split,
        metrics={"top1": top1},
        examples=300,
        num_classes=1000,
        image_size=224,
        crop_fraction=1.0,
        command="python -m benchmarks.evaluate",
        finished_at="2025-01-01T00:00:00Z",
        compression=Compression(6, 0.67, 4, size, 4_993_696),
    )


@pytest.mark.parametrize(
    ("top1s", "size", "split", "verdict"),
    [
        ([0.60, 0.611, 0.6201], 500_000, "test", "holds"),  # 244.4 MB / 500 kB = 489
        ([0.60, 0.611, 0.6201], 600_000, "test", "does not hold"),
        ([0.50, 0.511, 0.5201], 500_000, "test", "does not hold"),
        ([0.60], 500_000, "test", "not measured"),
        ([0.60, 0.611, 0.6201], 500_000, "validation", "not measured"),
    ],
)
def test_compression_is_judged_by_bytes_and_by_accuracy_again(ranking, top1s, size, split, verdict):
    runs = ranking()
    squeezenets = [each for each in runs if each.model.name == "squeezenet1_0"]
    evaluated = [
        compressed(r, x, size=size, split=split) for r, x in zip(squeezenets, top1s, strict=False)
    ]
    assert verdicts(runs, evaluated)["compression"] == verdict


def test_one_way_of_compressing_that_does_both_is_enough(ranking):
    runs = ranking()
    squeezenets = [each for each in runs if each.model.name == "squeezenet1_0"]
    evaluated = [
        made
        for record, top1 in zip(squeezenets, [0.60, 0.611, 0.6201], strict=True)
        for made in (
            compressed(record, top1, "compressed-8bit", size=700_000),
            compressed(record, top1, "compressed-6bit", size=500_000),
        )
    ]
    assert verdicts(runs, evaluated)["compression"] == "holds"


def test_a_ratio_has_the_interval_of_its_logarithm():
    first, second = [100.0, 110.0, 95.0], [200.0, 205.0, 210.0]
    ratio = paired_ratio(dict(enumerate(first)), dict(enumerate(second)))
    logs = [math.log(a / b) for a, b in zip(first, second, strict=True)]
    low, high = scipy.stats.t.interval(0.95, 2, loc=sum(logs) / 3, scale=scipy.stats.sem(logs))
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert ratio.mean == pytest.approx(math.exp(sum(logs) / 3))
    assert paired_ratio({0: 1.0}, {1: 1.0}) is None


def test_command_prints_every_statement_and_writes_markdown_and_json(
    ranking, tmp_path, command_here
):
    for record in ranking():
        records.write(record, records.record_path(tmp_path, record.run_id))
    evaluations.write(
        compressed(next(r for r in ranking() if r.model.name == "squeezenet1_0"), 0.6),
        tmp_path / "runs" / "squeezenet1_0-0",
    )
    out = [f"--out={tmp_path / 'claims.md'}", f"--out={tmp_path / 'claims.json'}"]
    ended = command_here("results.claims", tmp_path, *out)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("holds: ") == len(STATEMENTS) - 1
    assert ended.stdout.count("not measured: ") == 1
    text = (tmp_path / "claims.md").read_text()
    assert text.count("| holds |") == len(STATEMENTS) - 1
    (written,) = json.loads((tmp_path / "claims.json").read_text())["rankings"]
    assert [each["statement"] for each in written["findings"]] == [each.text for each in STATEMENTS]
    compression = next(f for f in written["findings"] if f["statement"] == KEYS["compression"])
    assert [check["holds"] for check in compression["checks"]] == [True, None]


def test_verdicts_that_do_not_hold_are_no_failure_of_the_command(ranking, tmp_path, command_here):
    for record in ranking(alexnet=(1_000, [0.9] * 3)):
        records.write(record, records.record_path(tmp_path, record.run_id))
    assert command_here("results.claims", tmp_path).returncode == 0


def test_no_records_are_a_mistake(tmp_path, command_here):
    ended = command_here("results.claims", tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == (
        f"error: there are no records in {tmp_path}: a run writes DIR/runs/<run id>/record.json.\n"
    )


def test_what_is_the_same_on_all_seeds_is_no_evidence(ranking):
    records_ = ranking()
    by_seed = {each.seed: each for each in records_ if each.model.name == "alexnet"}
    same = [
        dataclasses.replace(each, metrics=by_seed[each.seed].metrics)
        if each.model.name == "squeezenet1_0"
        else each
        for each in records_
    ]
    assert verdicts(same)["squeezenet"] == "not measured"
    texts = figures(same, "squeezenet")
    assert any("the same on all 3 seeds, which gives no interval" in text for text in texts)
