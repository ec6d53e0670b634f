"""The page: what it holds of known records, that it runs and fetches nothing but its own, and its bytes."""

import base64
import configparser
import dataclasses
import hashlib
import html.parser
import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from results import leaderboard, page, records
from results.page import contents, document, figures, library
from results.rankings.reported import Reported
from results.rankings.rows import summarize
from results.records import layout
from results.records.schema import Failure, Git, Metrics, Plugin
from results.tables.columns import COLUMNS, shown

EVIL = "</script><script>alert(1)</script><!--\u2028&amp;"
VOID = {"meta", "link", "input", "br"}


class Reader(html.parser.HTMLParser):
    """Reads a page as elements (tag, attributes, text), and fails where tags do not match."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        if self._open:
            self._open[-1][2] += data

    def all(self, tag):
        return [(attrs, text) for name, attrs, text in self.elements if name == tag]

    def data(self, name):
        (text,) = [text for attrs, text in self.all("script") if attrs.get("id") == name]
        return json.loads(text)


@pytest.fixture(scope="module")
def folder(generated, write_with_curves, tmp_path_factory) -> Path:
    """A folder of 14 models' runs, one of which diverges on every seed and one on one."""
    folder = tmp_path_factory.mktemp("runs")
    write_with_curves(generated(), folder)
    return folder


@pytest.fixture(scope="module")
def text(folder) -> str:
    everything, folders, _ = records.load_with_folders([folder])
    return page.write(summarize(everything), folder, folders).read_text()


def collected(run_records, folders=None, where="/page"):
    return contents.collect(summarize(run_records), contents.Place(Path(where), folders or {}))


def record_of(held, run) -> dict:
    """The record as the page's script puts it together again."""
    ranking = held["rankings"][run["ranking"]]
    result = {}
    for i, path in enumerate(ranking["fields"]):
        if str(i) in run["differing"]:
            value = run["differing"][str(i)]
        elif i < len(ranking["shared"]) and i not in run.get("absent", []):
            value = ranking["shared"][i]
        else:
            continue
        part = result
        for key in path[:-1]:
            part = part.setdefault(key, {})
        part[path[-1]] = value
    return result


def test_the_page_is_html_whose_tags_match(text):
    reader = Reader(text)
    assert text.startswith("<!DOCTYPE html>")
    assert [attrs["lang"] for attrs, _ in reader.all("html")] == ["en"]
    assert [title for _, title in reader.all("title")] == [
        "digits 1.0.0 (test): 12,000 examples, batch size 64, common recipe"
    ]
    assert reader.all("noscript")


def test_nothing_in_the_page_points_to_a_network(text):
    reader = Reader(text)
    addresses = [
        value
        for _, attrs, _ in reader.elements
        for name, value in attrs.items()
        if name in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert set(addresses) == {"#", "#main", "data:,"}
    (style,) = (text for _, text in reader.all("style"))
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_lets_the_page_s_own_scripts_run_and_nothing_load(text):
    reader = Reader(text)
    (policy,) = (
        attrs["content"]
        for attrs, _ in reader.all("meta")
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    scripts = [body for attrs, body in reader.all("script") if attrs["type"] == "module"]
    digests = [
        f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'"
        for body in scripts
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == ["'unsafe-eval'", *digests]
    assert len(scripts) == 2


def test_text_from_records_is_data_and_no_markup(run):
    evil = run("a", 0, 0.9, {"act": EVIL}, error=EVIL, config={EVIL: [EVIL]}, command=EVIL)
    failed = run("b", 0, None, error=EVIL, status="crashed", metrics=Metrics())
    held = collected([evil, failed])
    text = document.to_html(held, "", {})
    reader = Reader(text)
    assert len(reader.all("script")) == 4
    assert reader.data("contents") == held
    assert record_of(held, held["runs"][0])["config"] == {EVIL: [EVIL]}
    for encoded in (json.dumps(EVIL)[1:-1], EVIL):
        assert encoded not in text


def test_every_record_can_be_put_together_from_the_page(folder, text):
    held = Reader(text).data("contents")
    for run in held["runs"]:
        path = records.record_path(folder, run["id"])
        assert record_of(held, run) == json.loads(path.read_text())


def test_runs_of_different_configurations_software_and_empty_parts_are_kept_apart(make):
    one = make("one", config={"a": {"b": 1, "c": {}}, "d": [1]}, git=None, software={})
    two = make("two", config={"a": {"c": {"e": 2}}, "d": [2]}, seed=1)
    three = make("three", config={"a": 3}, software={"jax": "1", "flax": "2"}, seed=2)
    held = collected([one, two, three])
    for record in (one, two, three):
        (run,) = (run for run in held["runs"] if run["id"] == record.run_id)
        assert record_of(held, run) == json.loads(records.to_json(record))


def test_a_row_s_runs_follow_its_first(folder, text):
    held = Reader(text).data("contents")
    (ranking,) = held["rankings"]
    ids = next(column for column in ranking["columns"] if column["name"] == "run_ids")["cells"]
    for row, names in zip(ranking["rows"], ids, strict=True):
        runs = held["runs"][row["first"] : row["first"] + row["runs"]]
        assert " ".join(run["id"] for run in runs) == names


def test_cells_are_those_of_the_tables_and_each_run_s_own_number_is_beside_the_mean(run):
    held = collected([run("a", 0, 0.9), run("a", 1, 0.94), run("b", 0, 0.5)])
    columns = {column["name"]: column for column in held["rankings"][0]["columns"]}
    assert columns["top1"]["cells"] == ["92.00 ± 25.41", "50.00"]
    assert columns["top1"]["numbers"] == [0.92, 0.5]
    assert columns["top1"]["by_run"] == [["90.00", "94.00"], None]
    assert columns["top1_low"]["cells"][1] == ""
    assert columns["model"]["cells"] == ["a", "b"]
    names = [column["name"] for column in held["rankings"][0]["columns"]]
    assert sorted(names) == sorted(column.name for column in COLUMNS)
    seen = [name for name in names if columns[name]["shown"]]
    assert seen == names[: len(seen)] == [c.name for c in shown("single_label")]


def test_failed_and_diverged_runs_are_there_with_what_they_said(run):
    diverged = {"status": "diverged", "metrics": Metrics(), "failure": Failure(12, float("nan"))}
    held = collected([run("a", 0, 0.9), run("b", 0, error="The loss is NaN.", **diverged)])
    (ranking,) = held["rankings"]
    assert [row["outcome"] for row in ranking["rows"]] == ["completed", "diverged at step 12"]
    assert ranking["failures"] == [["b", "diverged at step 12. The loss is NaN."]]
    failed = held["runs"][1]
    assert failed["status"] == "diverged"
    assert record_of(held, failed)["failure"] == {"step": 12, "loss": "NaN", "gradient_norm": None}
    assert all(point["row"] == 0 for point in ranking["figures"]["accuracy-macs"]["points"])


def test_records_that_do_not_compare_have_rankings_of_their_own(run):
    held = collected([run("a", 0, 0.9), run("a", 0, 0.9, recipe="paper", run_id="other")])
    assert len(held["rankings"]) == 2
    assert [run["ranking"] for run in held["runs"]] == [0, 1]
    assert [ranking["rows"][0]["first"] for ranking in held["rankings"]] == [0, 1]


def test_a_page_without_any_completed_run_says_so(run):
    held = collected([run("a", 0, status="failed", metrics=Metrics(), git=Git())])
    assert "No run completed." in held["rankings"][0]["description"]
    assert held["rankings"][0]["figures"] == {}


def test_a_task_is_drawn_and_shown_by_its_own_metric(run, make):
    record = run("a", 0, 0.9, metrics=Metrics({}, {"roc_auc": 0.75, "f1": 0.5}))
    dataset = dataclasses.replace(record.dataset, task="binary")
    (ranking,) = collected([dataclasses.replace(record, dataset=dataset)])["rankings"]
    columns = {column["name"]: column for column in ranking["columns"]}
    assert columns["roc_auc"]["shown"]
    assert not columns["top1"]["shown"]
    assert ranking["score"] == "ROC AUC %"
    assert "train/roc_auc" in ranking["metrics"]
    (point,) = ranking["figures"]["accuracy-parameters"]["points"]
    assert point["y"] == 75


def test_published_figures_stand_beside_the_ranking_and_not_in_it(run):
    published = [Reported("a", "a paper", {"top1": 0.7})]
    tables = summarize([run("a", 0, 0.9)], reported=published)
    (ranking,) = contents.collect(tables, contents.Place(Path("/page"), {}))["rankings"]
    (beside,) = ranking["beside"]
    assert beside["title"] == "Reported"
    assert [cell for cell in beside["rows"][0] if cell] == [
        *("reported", "a", "70.00", "90.00", "a paper")
    ]
    assert len(ranking["rows"]) == 1


def test_a_record_is_linked_to_where_it_lies_below_the_page(run, tmp_path):
    here = {"a-0": tmp_path / "runs" / "a 0?"}
    (entry,) = collected([run("a", 0, 0.9)], here, tmp_path)["runs"]
    assert entry["record"] == "runs/a%200%3F/record.json"
    (entry,) = collected([run("a", 0, 0.9)], here, tmp_path / "tables")["runs"]
    assert "record" not in entry


def test_curves_come_from_the_file_beside_the_record_and_a_damaged_one_is_no_error(run, tmp_path):
    folders = {}
    for name, data in {
        "whole": b'{"step": 1, "train/loss": 2.0}\n{"step": 3, "train/loss": 1.0}\n',
        "half": b'{"step": 1, "train/loss": 2.0}\n{"step": 2, "train/loss": 1.5}\n{"st',
        "noise": b"\xff\x00\n[]\n{}\n" + b"[" * 100_000,
        "empty": b"",
        "missing": None,
    }.items():
        folders[f"{name}-0"] = tmp_path / name
        (tmp_path / name).mkdir()
        if data is not None:
            layout.metrics_in(tmp_path / name).write_bytes(data)
    names = [name.partition("-")[0] for name in folders]
    held = collected([run(name, 0, 0.9) for name in names], folders)
    by_run = {run["id"]: run.get("curve") for run in held["runs"]}
    assert by_run["whole-0"]["step"] == [1, 3]
    assert by_run["half-0"]["train/loss"] == [2.0, 1.5]
    assert [by_run[f"{name}-0"] for name in ("noise", "empty", "missing")] == [None] * 3


def test_the_same_records_give_the_same_bytes_in_any_order(folder, text):
    everything, folders, _ = records.load_with_folders([folder])
    for i in range(2):
        random.Random(i).shuffle(everything)
        assert page.write(summarize(everything), folder, folders).read_text() == text


def test_tables_come_with_the_page(run, tmp_path):
    paths = leaderboard.write_tables([run("a", 0, 0.9)], tmp_path)
    assert tmp_path / "index.html" in paths
    assert "vegaEmbed" in (tmp_path / "index.html").read_text()


def test_the_plugins_of_a_run_are_among_its_fields(run):
    held = collected([run("a", 0, 0.9, plugins=(Plugin("mine.net"),)), run("b", 0, 0.8)])
    (ranking,) = held["rankings"]
    place = ranking["fields"].index(["plugins"])
    of_run = {"module": "mine.net", "package": None, "version": None, "digest": None}
    assert ranking["shared"][place] == [of_run]
    assert held["runs"][1]["differing"][str(place)] == []


def test_plots_are_written_when_asked_for_and_need_a_folder(generated, tmp_path, command_here):
    for record in list(generated(seeds=1))[:3]:
        records.write(record, records.record_path(tmp_path, record.run_id))
    out = tmp_path / "out"
    ended = command_here("results.leaderboard", tmp_path, "--plots")
    assert ended.returncode == 2
    assert "--out=DIR" in ended.stderr
    assert command_here("results.leaderboard", tmp_path, f"--out={out}").returncode == 0
    assert not (out / "plots").exists()
    assert command_here("results.leaderboard", tmp_path, f"--out={out}", "--plots").returncode == 0
    assert (tmp_path / "out" / "plots" / "accuracy-macs.svg").exists()


def test_what_every_page_has_is_made_once_and_again_where_it_is_damaged(tmp_path, monkeypatch):
    made = []

    def make():
        made.append(1)
        return "script", {"figure": {}}

    monkeypatch.setattr(library, "_make", make)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert library.load() == library.load() == ("script", {"figure": {}})
    assert len(made) == 1
    (kept,) = (tmp_path / "isobudget").glob("page-*.json")
    kept.write_text("{")
    assert library.load() == ("script", {"figure": {}})
    assert len(made) == 2


def test_altair_and_vega_are_not_imported_for_a_table_on_the_terminal():
    program = "import sys, results.leaderboard; print({'altair', 'vl_convert'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout == "set()\n", ended.stderr


def test_the_page_s_parts_are_installed_with_the_package():
    folder = Path(page.__file__).parent
    setup = configparser.ConfigParser()
    setup.read(folder.parents[1] / "setup.cfg")
    patterns = setup["options.package_data"]["results.page"].split()
    installed = {path for pattern in patterns for path in folder.glob(pattern)}
    assert installed == set((folder / "assets").iterdir()) != set()


def test_the_script_draws_in_the_sizes_that_labels_are_placed_for():
    script = (Path(page.__file__).parent / "assets" / "charts.js").read_text()
    for name, attribute in (("WIDTHS", "width"), ("HEIGHTS", "height")):
        sizes = ", ".join(f"{size.name}: {getattr(size, attribute)}" for size in figures.SIZES)
        assert f"const {name} = {{ {sizes} }};" in script


def test_every_asset_is_used(text):
    assets = Path(page.__file__).parent / "assets"
    for path in assets.iterdir():
        longest = max(re.split(r"[{}]{2}", path.read_text()), key=len)
        assert longest.strip() in text, path.name


@pytest.mark.slow
def test_ten_thousand_runs_make_a_page_of_less_than_20_megabytes(
    generated, models_of_many_sizes, write_with_curves, tmp_path
):
    models = [
        (name, {**options, "depth": depth}, *numbers)
        for depth in range(144)
        for name, options, *numbers in models_of_many_sizes
    ]
    published = Path(page.__file__).parents[1] / "published" / "digits"
    real = records.read(next(published.glob("runs/*/record.json")))  # of a real one's size
    runs = [
        dataclasses.replace(record, config=real.config, software=real.software)
        for record in generated(models, seeds=5)
    ]
    write_with_curves(runs, tmp_path, points=100)
    everything, folders, problems = records.load_with_folders([tmp_path])
    assert len(everything) == 10_080
    assert problems == []
    tables = summarize(everything)
    begin = time.perf_counter()
    path = page.write(tables, tmp_path, folders)
    seconds = time.perf_counter() - begin
    print(f"10,080 records to a page: {seconds:.1f} s, {path.stat().st_size / 1e6:.1f} MB")
    assert path.stat().st_size < 20e6
