"""The figures: Pareto fronts, places of labels, thinned curves, and files from the page's specifications."""

import json
import math
import struct
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import records
from results.page import charts, curves, figures, labels, pareto
from results.page.plots import write_plots
from results.rankings.rows import summarize
from results.records import Budget, Model

POINTS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=12)
SVG = "{http://www.w3.org/2000/svg}"


def test_a_long_name_keeps_its_beginning_and_its_end():
    names = [f"mobilenet_v1:epsilon=1e-05,padding=torch{end}" for end in ("", ",width=0.5")]
    shown = [labels.shortened(name) for name in names]
    assert shown == ["mobilenet_v1:…,padding=torch", "mobilenet_v1:…orch,width=0.5"]
    assert {len(each) for each in shown} == {28}
    assert labels.shortened("mobilenet_v1:width=0.25") == "mobilenet_v1:width=0.25"


def test_the_front_of_known_points():
    points = [(1, 5), (2, 4), (2, 7), (3, 7), (4, 9), (4, 8)]
    assert pareto.front(points, lower_x_is_better=True) == [True, False, True, False, True, False]
    assert pareto.front(points, lower_x_is_better=False) == [False] * 4 + [True, False]


@given(POINTS, st.booleans())
def test_the_front_is_what_nothing_dominates(points, lower):
    sign = -1 if lower else 1

    def dominated(x, y):
        return any(
            sign * a >= sign * x and b >= y and (sign * a > sign * x or b > y) for a, b in points
        )

    assert pareto.front(points, lower) == [not dominated(x, y) for x, y in points]


PLACES = st.lists(st.tuples(st.floats(0, 500), st.floats(0, 300)), min_size=1, max_size=25)


@given(PLACES)
def test_labels_stay_inside_and_off_each_other_and_off_every_point(points):
    texts = [f"mobilenet_v1:{'x' * (i % 9)}" for i in range(len(points))]
    placed = labels.place(points, texts, range(len(points)), (500, 300), 12)
    boxes = {}
    for i, at in placed.items():
        width = labels.text_width(texts[i], 12)
        left = points[i][0] + at.dx - {"left": 0, "center": width / 2, "right": width}[at.align]
        top = points[i][1] + at.dy - 6
        boxes[i] = (left, top, left + width, top + 12)
    for i, (left, top, right, bottom) in boxes.items():
        assert 0 <= left < right <= 500
        assert 0 <= top < bottom <= 300
        for x, y in points:
            assert not (left < x < right and top < y < bottom)
        for j, other in boxes.items():
            apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
            assert i == j or apart


def test_every_model_of_a_small_ranking_has_its_label_in_both_sizes(generated):
    (table,) = summarize(generated())
    for figure in figures.SCATTERS:
        points = figures.points(table, figure)["points"]
        assert len(points) == 13
        for size in figures.SIZES:
            assert sum(size.name in point for point in points) >= 12, (figure.name, size.name)


def test_points_hold_percent_intervals_and_cells(run):
    runs = [run("a", seed, top1) for seed, top1 in enumerate([0.90, 0.92, 0.94])]
    runs += [run("b", 0, 0.5)]
    (table,) = summarize(runs)
    scatter = figures.points(table, figures.SCATTERS[0])
    a, b = scatter["points"]
    assert (a["x"], a["x_low"], a["x_high"], a["x_text"]) == (1234567, 1234567, 1234567, "1.23M")
    # 92 ± t(0.975, 2) * 2 / sqrt(3) = 92 ± 4.96828
    assert (a["y"], a["y_low"], a["y_high"]) == pytest.approx((92, 87.0317, 96.9683), abs=1e-3)
    assert a["y_text"] == "92.00 ± 4.97"
    assert (b["y_low"], b["y"], b["y_high"]) == (50, 50, 50)
    assert (a["front"], b["front"]) == (True, False)
    left, right, low, high = scatter["domain"]
    assert left < 1234567 < right
    assert low < 50
    assert high > 96.97


def test_an_interval_far_wider_than_the_means_are_apart_is_cut_off(run):
    (table,) = summarize([run("a", 0, 0.90), run("a", 1, 0.99), run("b", 0, 0.93)])
    _, _, low, high = figures.points(table, figures.SCATTERS[0])["domain"]
    assert 90 < low < 93
    assert 95 < high < 98


def test_a_model_without_the_number_is_not_in_the_figure(run):
    unknown = run("a", 0, 0.9)
    unknown = records.from_json(
        records.to_json(unknown).replace('"macs": 37000000', '"macs": null')
    )
    (table,) = summarize([unknown, run("b", 0, 0.8)])
    by_name = {figure.name: figures.points(table, figure) for figure in figures.SCATTERS}
    assert [p["name"] for p in by_name["accuracy-macs"]["points"]] == ["b"]
    assert len(by_name["accuracy-parameters"]["points"]) == 2


def test_models_at_several_sizes_are_told_apart(run, make):
    small = make("small", model=Model("a", {}, 24, 10))
    (table,) = summarize([run("a", 0, 0.9), small, run("b", 0, 0.5)])
    assert set(figures.names(table)) == {"a @32", "a @24", "b"}


def test_curves_tell_examples_flops_and_seconds(run, tmp_path):
    # 188 steps of 64 examples cost 2.7e12 FLOPs and 8.5 seconds.
    lines = [{"step": step, "train/loss": 2 / step, "train/top1": 0.5} for step in (47, 94, 188)]
    lines[1] |= {"train/loss": "nan"}
    lines.append({"step": 188, "validation/top1": 0.9})  # measured once: no curve
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text)
    names = ("train/loss", "train/top1", "validation/top1")
    curve = curves.read(run("a", 0, 0.9), tmp_path, names, 100)
    assert curve == {
        "step": [47, 94, 188],
        "seconds": [2.125, 4.25, 8.5],
        "train/loss": [0.04255, None, 0.01064],
        "train/top1": [0.5, 0.5, 0.5],
        "examples_per_step": 64,
        "flops_per_step": pytest.approx(2.7e12 / 188),
    }


def test_seconds_of_the_file_are_taken_where_it_has_them(run, tmp_path):
    lines = [{"step": s, "train/loss": 1.0, "train_seconds": s**2} for s in (1, 2)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert curves.read(run("a", 0, 0.9), tmp_path, ["train/loss"], 9)["seconds"] == [1, 4]


def test_a_run_that_failed_before_it_spent_anything_has_flops_from_its_macs(make, tmp_path):
    lines = [{"step": s, "train/loss": 1.0} for s in (1, 2)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    record = make(budget=Budget("examples", 12_000, 64), model=Model("a", {}, 32, 10, 1, 0, 1000))
    curve = curves.read(record, tmp_path, ["train/loss"], 9)
    assert curve["flops_per_step"] == 6 * 1000 * 64
    assert curve["seconds"] == [None, None]


def test_a_long_run_is_thinned_to_its_first_and_last_points_and_keeps_its_validation(run, tmp_path):
    lines = [{"step": step, "train/loss": 1.0} for step in range(1, 1001)]
    lines += [{"step": step, "validation/loss": 1.0} for step in (500, 1000)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    curve = curves.read(run("a", 0, 0.9), tmp_path, ["train/loss", "validation/loss"], 20)
    train = [s for s, loss in zip(curve["step"], curve["train/loss"], strict=True) if loss]
    assert (len(train), train[0], train[-1]) == (20, 1, 1000)
    assert sum(loss is not None for loss in curve["validation/loss"]) == 2


def test_ten_thousand_curves_have_fewer_points_than_ten():
    assert curves.points_per_curve(10) > 100
    assert curves.points_per_curve(10_000) < 20


@pytest.mark.parametrize("color", charts.PALETTE)
@pytest.mark.parametrize("paper", ["#ffffff", "#14171c"])
def test_every_color_of_a_curve_can_be_told_from_the_paper(color, paper):
    """WCAG 2.2, 1.4.11: 3 to 1 for graphical objects."""
    lighter, darker = sorted([luminance(color), luminance(paper)], reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 3


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.fixture(scope="module")
def plotted(generated, write_with_curves, tmp_path_factory):
    """The folder of the plots of 4 models."""
    folder = tmp_path_factory.mktemp("plotted")
    runs = [run for run in generated(seeds=2) if run.model.name in ("alexnet", "mobilenet_v1")]
    for record in write_with_curves(runs, folder, points=10):
        path = records.record_path(folder, record.run_id).with_name("metrics.jsonl")
        path.write_text(path.read_text().replace("top1", "left_out"))  # fewer figures, less time
    everything, folders, _ = records.load_with_folders([folder])
    write_plots(summarize(everything), folder, folders)
    return folder / "plots"


def test_each_figure_is_a_readable_svg_and_png(plotted):
    names = {path.stem for path in plotted.iterdir()}
    assert {figure.name for figure in figures.SCATTERS} < names
    assert {"train-loss-examples", "train-loss-flops", "validation-loss-seconds"} < names
    for name in names:
        width, height = struct.unpack(">II", (plotted / f"{name}.png").read_bytes()[16:24])
        assert width > 800
        assert height > 500
        root = ElementTree.fromstring((plotted / f"{name}.svg").read_text())
        texts = {"".join(text.itertext()) for text in root.iter(f"{SVG}text")}
        assert {"alexnet", "mobilenet_v1", "mobilenet_v1:width=0.5"} <= texts, name


def test_points_of_the_svg_stand_where_their_numbers_say(plotted):
    root = ElementTree.fromstring((plotted / "accuracy-parameters.svg").read_text())
    dots = [g for g in root.iter(f"{SVG}path") if g.get("aria-roledescription") == "circle"]
    x = sorted(float(dot.get("transform")[10:].split(",")[0]) for dot in dots)
    parameters = [215_642, 823_722, 3_217_226, 57_044_810]
    across = [math.log(number / parameters[0]) for number in parameters]
    expected = [x[0] + (x[-1] - x[0]) * each / across[-1] for each in across]
    assert x == pytest.approx(expected, abs=0.5)


def test_plots_of_several_rankings_are_numbered_and_equal_ones_have_the_same_bytes(run, tmp_path):
    tables = summarize([run("a", 0, 0.9), run("a", 0, 0.9, recipe="paper", run_id="other")])
    paths = write_plots(tables, tmp_path)
    assert tmp_path / "plots" / "1-accuracy-macs.svg" in paths
    assert len(paths) == 2 * 2 * len(figures.SCATTERS)
    for path in paths:
        other = path.with_name(path.name.replace("1-", "2-"))
        assert path.read_bytes() == other.read_bytes(), path.name
