"""The literature's statements: verdicts from counts, and from intervals over seeds and test examples."""

import dataclasses
import json
import math

import numpy as np
import pytest
import scipy.stats

from isobudget import earlier
from results import claims, records
from results.claims import STATEMENTS
from results.rankings import load, rows
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
    "squeezenet1_0_bypass": (1_248_424, [0.63, 0.64, 0.65]),
    "mobilenet_v1": (4_231_976, [0.70, 0.71, 0.72]),
    "mobilenet_v1:width=0.5": (1_331_592, [0.65, 0.66, 0.67]),
    "mobilenet_v1:width=0.25": (470_072, [0.50, 0.51, 0.52]),
    "mobilenet_v1:depthwise=false": (29_294_088, [0.702, 0.712, 0.722]),
}
IMAGES_PER_SECOND = {"vgg16": 100.0, "vgg19": 80.0}
# Without evaluations of compressed weights, and with one image size.
UNMEASURED = dict.fromkeys(("compression", "resolution"), "not measured")
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
    assert verdicts(ranking()) == dict.fromkeys(KEYS, "holds") | UNMEASURED


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
        ("inception", {"googlenet": (14_000_000, [0.74, 0.75, 0.76])}),
        ("inception", {"googlenet": (6_624_904, [0.60, 0.61, 0.62])}),
        ("residual", {"plain18": (11_000_000, [0.60, 0.61, 0.62])}),
        ("squeezenet", {"squeezenet1_0": (1_400_000, [0.60, 0.61, 0.62])}),
        ("squeezenet", {"squeezenet1_0": (1_248_424, [0.58, 0.59, 0.60])}),
        ("mobilenet", {"squeezenet1_0": (4_300_000, [0.60, 0.61, 0.62])}),
        ("depthwise", {"mobilenet_v1:depthwise=false": (4_000_000, [0.71, 0.72, 0.73])}),
        ("width", {"mobilenet_v1:width=0.5": (1_331_592, [0.45, 0.46, 0.47])}),
        ("width", {"mobilenet_v1:width=0.5": (400_000, [0.65, 0.66, 0.67])}),
        ("vgg", {"vgg19": (143_667_240, [0.58, 0.59, 0.60])}),
        ("residual", {"plain34": (21_000_000, [0.76, 0.77, 0.78])}),
        ("residual_18", {"resnet18": (11_689_512, [0.72, 0.73, 0.74])}),
        ("residual_18", {"resnet18": (11_689_512, [0.68, 0.69, 0.70])}),
        ("depth", {"resnet101": (44_549_160, [0.75, 0.76, 0.77])}),
        ("depth_to_101", {"resnet101": (44_549_160, [0.75, 0.76, 0.77])}),
        ("bypass", {"squeezenet1_0_bypass": (1_248_424, [0.59, 0.60, 0.61])}),
        ("bypass", {"squeezenet1_0_bypass": (1_248_425, [0.63, 0.64, 0.65])}),
        ("depthwise_accuracy", {"mobilenet_v1": (4_231_976, [0.68, 0.69, 0.70])}),
        ("mobilenet", {"mobilenet_v1": (4_231_976, [0.59, 0.60, 0.61])}),
    ],
)
def test_a_statement_does_not_hold_where_one_figure_contradicts_it(ranking, key, changed):
    assert verdicts(ranking(**changed))[key] == "does not hold"


@pytest.mark.parametrize("key", ["mobilenet", "depthwise", "depthwise_accuracy", "width"])
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


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("vgg", {"vgg19": (143_667_240, [0.60, 0.62, 0.61])}),
        ("residual", {"plain34": (21_000_000, [0.76, 0.74, 0.73])}),
        ("depth", {"resnet101": (44_549_160, [0.70, 0.78, 0.80])}),
        ("mobilenet", {"mobilenet_v1": (4_231_976, [0.60, 0.62, 0.61])}),
    ],
)
def test_a_statement_cannot_be_told_where_an_interval_spans_the_bound(ranking, key, changed):
    assert verdicts(ranking(**changed))[key] == "cannot be told"


def test_a_difference_whose_interval_spans_zero_cannot_be_told(ranking):
    # 0.01, 0.05 and -0.01 (and 0.001 for the middle seed of both): mean above 0, interval not.
    scores = [0.61, 0.66, 0.61]
    expected = scipy.stats.ttest_rel(scores, [0.60, 0.61, 0.62]).confidence_interval(0.95)
    assert expected.low < 0 < expected.high
    changed = {"mobilenet_v1": (4_231_976, scores)}
    assert verdicts(ranking(**changed))["mobilenet"] == "cannot be told"
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
    assert ended.stdout.count("holds: ") == len(STATEMENTS) - 2
    assert ended.stdout.count("not measured: ") == 2
    text = (tmp_path / "claims.md").read_text()
    assert text.count("| holds |") == len(STATEMENTS) - 2
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


def examples(right_of_both: int, only_first: int, only_second: int, neither: int):
    """Returns which examples two models decide rightly, bool [2, examples]."""
    kinds = [(True, True), (True, False), (False, True), (False, False)]
    counts = (right_of_both, only_first, only_second, neither)
    return np.repeat(np.array(kinds), counts, axis=0).T


@pytest.fixture
def mobilenet(run, tmp_path, write_predictions):
    """Returns a function from what MobileNet and SqueezeNet get right to the check that MobileNet is more accurate.

    The arguments are those of `examples`, one tuple a seed; `predicted` says whose predictions are kept.
    """

    def mobilenet(*seeds, predicted=("mobilenet_v1", "squeezenet1_0")):
        parameters = {"mobilenet_v1": 2_000_000, "squeezenet1_0": 1_000_000}
        for seed, counts in enumerate(seeds):
            for (name, size), correct in zip(parameters.items(), examples(*counts), strict=True):
                record = run(name, seed, float(correct.mean()))
                record = dataclasses.replace(record, model=Model(name, {}, 32, 10, size, 0, 1))
                path = write_predictions(record, tmp_path, correct)
                if name not in predicted:
                    path.unlink()
        tables = load.rankings([tmp_path]).tables
        (finding,) = (
            each
            for each in claims.check(tables[0], tables)
            if each.statement.text == KEYS["mobilenet"]
        )
        return finding.checks[1]

    return mobilenet


@pytest.mark.parametrize(
    ("only_first", "only_second", "verdict"),
    [(60, 20, "holds"), (44, 36, "cannot be told"), (20, 60, "does not hold")],
)
def test_one_seed_is_judged_over_its_test_examples_by_mcnemar(
    mobilenet, only_first, only_second, verdict
):
    check = mobilenet((500, only_first, only_second, 420))
    fewer = min(only_first, only_second)
    exact = scipy.stats.binomtest(fewer, 80).pvalue
    assert check.p_value == pytest.approx(exact - scipy.stats.binom.pmf(fewer, 80, 0.5))
    assert check.verdict == verdict
    assert check.text.endswith(
        "over 1,000 test examples (above 0); one seed: for these weights, not for the recipe; by McNemar's test, "
        f"only mobilenet_v1 is right on {only_first}, only squeezenet1_0 on {only_second}"
    )


@pytest.mark.parametrize(
    ("seeds", "verdict"),
    [
        ([(500, 60, 20, 420), (500, 66, 20, 414), (500, 57, 20, 423)], "holds"),
        ([(500, 60, 60, 380), (500, 66, 61, 373), (500, 57, 63, 380)], "cannot be told"),
        ([(500, 20, 60, 420), (500, 20, 66, 414), (500, 20, 57, 423)], "does not hold"),
    ],
)
def test_several_seeds_are_judged_over_seeds_and_test_examples(mobilenet, seeds, verdict):
    check = mobilenet(*seeds)
    assert check.verdict == verdict
    assert "over 3 seeds and 1,000 test examples" in check.text


def test_without_predictions_seeds_alone_are_judged_and_said_to_be(mobilenet):
    seeds = [(500, 60, 20, 420), (500, 66, 20, 414), (500, 57, 20, 423)]
    check = mobilenet(*seeds, predicted=("mobilenet_v1",))
    assert "over 3 seeds alone, as squeezenet1_0 has no predictions" in check.text
    differences = [0.040, 0.046, 0.037]
    assert check.p_value == pytest.approx(scipy.stats.ttest_1samp(differences, 0).pvalue)


def test_one_seed_without_predictions_is_not_measured(mobilenet):
    check = mobilenet((500, 60, 20, 420), predicted=())
    assert check.verdict == "not measured"
    assert check.text.endswith(
        "needs several seeds, or predictions: mobilenet_v1 and squeezenet1_0 have no predictions"
    )


@pytest.mark.parametrize("kept", [True, False])
def test_smaller_weights_are_judged_over_test_examples_where_predictions_were_kept(
    run, tmp_path, write_predictions, kept
):
    correct = examples(500, 60, 20, 420)
    for name, parameters, right in zip(
        ("squeezenet1_0", "alexnet"), (1_248_424, 61_100_840), correct, strict=True
    ):
        record = run(name, 0, float(right.mean()))
        record = dataclasses.replace(record, model=Model(name, {}, 32, 1000, parameters, 0, 1))
        path = write_predictions(record, tmp_path, right)
        if name == "squeezenet1_0":
            arrays = dict(np.load(path)) if kept else None
            made = compressed(record, float(right.mean()))
            evaluations.write(made, path.parents[1], arrays)
    tables = load.rankings([tmp_path]).tables
    (finding,) = (
        each
        for each in claims.check(tables[0], tables)
        if each.statement.text == KEYS["compression"]
    )
    check = finding.checks[1]
    if kept:
        assert check.verdict == "holds"
        assert "over 1,000 test examples" in check.text
    else:
        assert check.verdict == "not measured"
        assert "squeezenet1_0 (compressed-6bit) has no predictions" in check.text


def test_other_test_examples_are_not_compared_one_by_one(run, tmp_path, write_predictions):
    for shift, name in enumerate(("mobilenet_v1", "squeezenet1_0")):
        for seed in range(2):
            correct = np.arange(100) < 60 + 10 * shift + seed + shift * seed
            record = run(name, seed, float(correct.mean()))
            write_predictions(record, tmp_path, correct, index=np.arange(100) + shift)
    (table,) = load.rankings([tmp_path]).tables
    (finding,) = (e for e in claims.check(table) if e.statement.text == KEYS["mobilenet"])
    assert "over 2 seeds alone, as their test examples are not the same" in finding.checks[1].text


def test_p_values_are_corrected_by_holm_for_each_different_check_once(ranking):
    (table,) = rows.summarize(ranking(resnet34=(21_797_672, [0.73, 0.76, 0.73])))
    findings = claims.check(table)
    parts = {
        part.text: part
        for each in findings
        for part in each.checks
        if part.p_value is not None and not part.text.startswith("inference images/s")
    }
    ordered = sorted(parts.values(), key=lambda part: part.p_value)
    corrected = 0.0
    for place, part in enumerate(ordered):
        corrected = max(corrected, min(1.0, part.p_value * (len(ordered) - place)))
        assert part.p_corrected == pytest.approx(corrected)
    assert ordered[-1].p_value > 0.01
    assert (
        f"p-values are corrected for {len(ordered)} comparisons of accuracy."
        in claims.to_markdown([table])
    )


def test_speeds_are_judged_by_their_own_intervals(ranking):
    (table,) = rows.summarize(ranking())
    (finding,) = (e for e in claims.check(table) if e.statement.text == KEYS["vgg"])
    (vgg16, vgg19) = (p for p in finding.checks if p.text.startswith("inference images/s"))
    assert (vgg16.verdict, vgg19.verdict, vgg16.p_corrected) == ("holds", "holds", None)
    assert "over 3 seeds (below 1)" in vgg16.text
    runs = [
        dataclasses.replace(r, throughput=Throughput(100.0, 1000.0 * (1 + r.seed * (-1) ** r.seed)))
        if r.model.name == "vgg16"
        else r
        for r in ranking()
        if r.seed != 1
    ]
    (table,) = rows.summarize(runs)
    (finding,) = (e for e in claims.check(table) if e.statement.text == KEYS["vgg"])
    assert next(p for p in finding.checks if "vgg16 / alexnet = 1.7" in p.text).verdict == (
        "cannot be told"
    )


def test_resolution_is_judged_across_rankings_that_differ_in_image_size_alone(run):
    top1 = {24: [0.50, 0.51, 0.52], 32: [0.55, 0.561, 0.57], 48: [0.60, 0.612, 0.62]}
    runs = []
    for size, scores in top1.items():
        for seed, score in enumerate(scores):
            record = run("mobilenet_v1", seed, score, run_id=f"mobilenet-{size}-{seed}")
            config = record.config | {"image_size": size}
            model = dataclasses.replace(record.model, image_size=size)
            runs.append(dataclasses.replace(record, config=config, model=model))
    tables = rows.summarize(runs)
    assert len(tables) == 3
    for table in tables:
        (finding,) = (
            e for e in claims.check(table, tables) if e.statement.text == KEYS["resolution"]
        )
        assert finding.verdict == "holds"
        assert "mobilenet_v1 at 48 - mobilenet_v1 at 24 = +10.07" in finding.checks[-1].text
    longer = [
        dataclasses.replace(r, budget=dataclasses.replace(r.budget, amount=24_000))
        for r in runs[:3]
    ]
    tables = rows.summarize([*longer, *runs[3:]])
    (finding,) = (
        e for e in claims.check(tables[0], tables) if e.statement.text == KEYS["resolution"]
    )
    assert finding.verdict == "not measured"


def test_json_has_the_p_values_and_no_answer_where_it_cannot_be_told(ranking):
    changed = {"mobilenet_v1": (4_231_976, [0.61, 0.66, 0.61])}
    (table,) = rows.summarize(ranking(**changed))
    (written,) = json.loads(claims.to_json([table]))["rankings"]
    (finding,) = (f for f in written["findings"] if f["statement"] == KEYS["mobilenet"])
    size, accuracy = finding["checks"]
    assert (size["holds"], size["p_value"]) == (True, None)
    assert (accuracy["holds"], accuracy["verdict"]) == (None, "cannot be told")
    expected = scipy.stats.ttest_1samp([0.01, 0.05, -0.01], 0).pvalue
    assert accuracy["p_value"] == pytest.approx(expected, rel=1e-2)
    assert written["comparisons"] > 10
