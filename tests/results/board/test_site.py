"""The pages of a board: what they say, that no text of a submitter is markup, and that merged boards are one board."""

import configparser
import dataclasses
import html.parser
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from urllib.parse import unquote

import pytest

from results import board, records
from results.audit import Claim
from results.board import contents, standings
from results.board.markup import element

ATOM = "{http://www.w3.org/2005/Atom}"
EVIL = "</script><script>alert(1)</script><!--\u2028&amp;\"'><img src=x onerror=alert(2)>"
VOID = {"meta", "link", "input", "br"}
# By the day that they are added: the second and the fourth raise no record.
SUBMITTED = ("squeezenet1_1", "mobilenet_v1-width=0.25", "resnet50", "mobilenet_v1", "googlenet")


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
        for each in self._open:
            each[2] += data

    def all(self, tag):
        return [(attrs, text) for name, attrs, text in self.elements if name == tag]

    def data(self, name):
        (text,) = [text for attrs, text in self.all("script") if attrs.get("id") == name]
        return json.loads(text)


@pytest.fixture
def filled(folder, bundle, add) -> Path:
    """A board of five rows, a day apart."""
    for day, model in enumerate(SUBMITTED, 1):
        assert add(folder, bundle(f"{model}-seed0"), f"2026-01-{day:02}", f"Lab {day}").accepted
    return folder


def write(folder: Path, **how) -> Path:
    """Writes the pages of a board and returns their folder."""
    board.write(board.load(folder), folder, folder / "site", **how)
    return folder / "site"


def files(folder: Path) -> dict[str, bytes]:
    """Returns what the files in a folder hold, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_first_page_has_a_row_for_each_model_that_leads_to_its_page_and_its_report(filled):
    site = write(filled)
    held = Reader((site / "index.html").read_text()).data("contents")
    (ranking,) = held["rankings"]
    columns = {column["name"]: column for column in ranking["columns"]}
    scores = [float(text) for text in columns["top1"]["cells"]]
    assert scores == sorted(scores, reverse=True)
    assert set(columns["model"]["cells"]) == {m.replace("-", ":") for m in SUBMITTED}
    assert columns["checked"]["cells"] == ["a✓ b≈ f≈"]
    for row, link in zip(ranking["rows"], columns["checked"]["links"], strict=True):
        assert (site / row["page"]).is_file()
        page, _, anchor = link.partition("#")
        report = Reader((site / page).read_text())
        assert anchor in [attrs.get("id") for attrs, _ in report.all("h3")]
    assert ["budget", "8,000 examples"] in held["rules"]
    assert ["division open", "any recipe; plug-ins: *"] in held["rules"]


def test_the_record_is_raised_by_those_that_were_better_than_all_before(filled):
    held = Reader((write(filled) / "index.html").read_text()).data("contents")
    (ranking,) = held["rankings"]
    history = [(each["at"], each["name"], each["by"]) for each in ranking["history"]]
    top1 = [
        records.read(path).metrics.test["top1"]
        for model in SUBMITTED
        for path in Path(__file__)
        .parents[3]
        .glob(f"results/published/digits/runs/{model}-seed0/record.json")
    ]
    raising = [i for i, score in enumerate(top1) if score > max([0, *top1[:i]])]
    assert 1 < len(raising) < len(SUBMITTED)
    expected = [
        (f"2026-01-{i + 1:02}", SUBMITTED[i].replace("-", ":"), f"Lab {i + 1}") for i in raising
    ]
    assert history == expected[::-1]
    points = [point for point in ranking["record"] if point["name"]]
    assert [point["score"] for point in points] == [round(100 * top1[i], 6) for i in raising]
    assert points[0]["at"] == 1767225600000  # 2026-01-01, UTC
    low_x, high_x, low_y, high_y = ranking["domain"]
    assert all(low_x < p["at"] < high_x and low_y < p["score"] < high_y for p in points)


def test_of_two_rows_of_one_day_the_better_holds_the_record_alone(folder, bundle, add):
    for model in ("squeezenet1_1", "resnet50"):
        add(folder, bundle(f"{model}-seed0"))
    (ranking,) = standings.rankings(board.load(folder))
    assert [record.row.row.model for record in ranking.history] == ["resnet50"]


def test_a_row_has_a_page_with_its_numbers_its_runs_and_its_verdicts(filled):
    site = write(filled)
    (ranking,) = standings.rankings(board.load(filled))
    row = next(each for each in ranking.rows if each.row.model == "resnet50")
    page = Reader((site / "rows" / f"{row.row_id}.html").read_text())
    (record,) = row.row.runs
    text = next(text for _, text in page.all("main"))
    for expected in ("Lab 3", "2026-01-03, and raised the record", row.entry.digest, "consistent"):
        assert expected in text
    cells = [text for _, text in page.all("td")]
    assert f"{100 * record.metrics.test['top1']:.2f}" in cells
    assert record.command in cells
    links = [attrs["href"] for attrs, _ in page.all("a")]
    assert f"../audits/{row.entry.digest}.html#run-1" in links


def test_the_report_says_every_claim_with_its_mark(filled):
    site = write(filled)
    entry = board.load(filled).entries[0]
    page = Reader((site / "audits" / f"{entry.digest}.html").read_text())
    (audit, _), *_ = entry.runs.values()
    cells = [text for _, text in page.all("td")]
    for claim in (*entry.claims, *audit.claims):
        assert claim.reason in cells
    assert {"✓", "≈"} < set(cells)
    assert json.loads((site / "audits" / f"{entry.digest}.json").read_text())["bundle"] == (
        entry.digest
    )


def test_everything_is_in_the_json(filled):
    held = json.loads((write(filled) / "board.json").read_text())
    assert held["rules"]["title"] == board.load(filled).rules.title
    (ranking,) = held["rankings"]
    assert len(ranking["rows"]) == len(held["bundles"]) == len(SUBMITTED)
    row = ranking["rows"][0]
    assert (row["rank"], row["model"], row["verdict"]) == (1, "googlenet", "consistent")
    assert row["verdicts"] == {
        "a": "verified",
        "b": "consistent",
        "c": "not checked",
        "d": "not checked",
        "e": "not checked",
        "f": "consistent",
    }
    assert ranking["history"][-1]["row"] == row["id"]


def test_the_feed_has_the_latest_rows_first_and_addresses_of_where_the_pages_lie(filled):
    feed = ElementTree.parse(write(filled, url="https://example.org/board") / "feed.xml").getroot()
    assert feed.tag == f"{ATOM}feed"
    assert feed.findtext(f"{ATOM}updated") == "2026-01-05T00:00:00Z"
    entries = feed.findall(f"{ATOM}entry")
    assert [each.findtext(f"{ATOM}updated")[8:10] for each in entries] == [
        "05",
        "04",
        "03",
        "02",
        "01",
    ]
    assert "googlenet" in entries[0].findtext(f"{ATOM}title")
    ids = [each.findtext(f"{ATOM}id") for each in feed.iter() if each.find(f"{ATOM}id") is not None]
    assert len(set(ids)) == len(entries) + 1
    for each in entries:
        address = each.find(f"{ATOM}link").get("href")
        assert address.startswith("https://example.org/board/rows/")
        assert (filled / "site" / address.removeprefix("https://example.org/board/")).is_file()


def test_every_address_of_every_page_leads_to_a_file_that_is_there(filled):
    site = write(filled, bundles=True)
    for path in site.rglob("*.html"):
        for tag, attrs, _ in Reader(path.read_text()).elements:
            for name in ("href", "src"):
                address = attrs.get(name, "data:").partition("#")[0]
                if address and not address.startswith("data:"):
                    assert (path.parent / unquote(address)).resolve().is_file(), (
                        path,
                        tag,
                        address,
                    )


def test_the_same_board_gives_the_same_bytes_in_whatever_order_it_was_filled(
    filled, folder, bundle, add, tmp_path
):
    first = files(write(filled))
    assert files(write(filled)) == first
    shutil.rmtree(filled / "bundles")
    shutil.rmtree(filled / "site")
    for day, model in reversed([*enumerate(SUBMITTED, 1)]):
        add(folder, bundle(f"{model}-seed0"), f"2026-01-{day:02}", f"Lab {day}")
    assert files(write(filled)) == first


def test_two_boards_are_merged_by_copying_the_bundles_of_one(filled, folder, bundle, add, tmp_path):
    whole = files(write(filled))
    parts = [tmp_path / "one", tmp_path / "other"]
    for part in parts:
        shutil.copytree(folder, part, ignore=lambda path, names: {"site"} & set(names))
    held = sorted(each.name for each in (folder / "bundles").iterdir())
    for name in held[:3]:
        shutil.rmtree(parts[0] / "bundles" / name)
    for name in held[2:]:
        shutil.rmtree(parts[1] / "bundles" / name)
    ids = {name for name in files(write(parts[0])) if name.startswith("rows/")}
    assert ids < whole.keys()
    shutil.copytree(parts[1] / "bundles", parts[0] / "bundles", dirs_exist_ok=True)
    merged = board.load(parts[0])
    assert len(merged.entries) == len(held) - 1
    shutil.copytree(folder / "bundles", parts[0] / "bundles", dirs_exist_ok=True)
    assert files(write(parts[0])) == whole


def test_what_another_board_s_rules_allowed_is_named_and_left_out(filled):
    toml = filled / "board.toml"
    toml.write_text(toml.read_text().replace("amount = 8000", "amount = 9000"))
    loaded = board.load(filled)
    assert loaded.entries == ()
    assert len(loaded.problems) == len(SUBMITTED)
    assert "its budget is 8000 examples, and the board's is 9000" in str(loaded.problems[0])
    held = Reader((write(filled) / "index.html").read_text()).data("contents")
    assert held["rankings"] == []


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("bundle.zip", b"x", "not the one that the folder is named by"),
        ("audit.json", b"{}", "no report of an audit"),
        ("audit.json", b'{"version": 2}', "of version 2, and not 1"),
        ("audit.json", b"[" * 100_000, "nested too deeply"),
        ("accepted.json", b'{"by": 3, "at": "2026-01-01"}', "does not say who and when"),
        ("accepted.json", b"\xff", "not text in UTF-8"),
        ("accepted.json", None, "No such file"),
    ],
)
def test_what_is_damaged_is_named_and_left_out(folder, bundle, add, name, content, why):
    for model in ("squeezenet1_1", "resnet50"):
        add(folder, bundle(f"{model}-seed0"))
    own = folder / "bundles" / board.load(folder).entries[0].digest
    if content is None:
        (own / name).unlink()
    else:
        (own / name).write_bytes(content)
    loaded = board.load(folder)
    assert len(loaded.entries) == 1
    (problem,) = loaded.problems
    assert (problem.path, why in problem.reason) == (own, True)


def test_a_report_that_was_made_up_to_say_what_no_audit_says_is_left_out(folder, bundle, add):
    add(folder, bundle("resnet50-seed0"))
    path = folder / "bundles" / board.load(folder).entries[0].digest / "audit.json"
    honest = path.read_text()
    path.write_text(honest.replace('"consistent"', '"excellent"'))
    assert "no report" in str(board.load(folder).problems[0])
    path.write_text(honest.replace('"consistent"', '"contradicted"'))
    assert "its audit contradicts" in str(board.load(folder).problems[0])


def test_of_merged_boards_the_later_of_two_bundles_with_the_same_training_is_left_out(
    tmp_path, folder, bundle, change, add
):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    add(folder, bundle("resnet50-seed0"), "2026-02-02")
    record = records.read(
        Path(__file__).parents[3] / "results/published/digits/runs/resnet50-seed0/record.json"
    )
    changed = {
        "run_id": "mine-seed0",
        "model": dataclasses.replace(record.model, name="mine"),
        "config": {**record.config, "model": "mine"},
    }
    stolen = change("resnet50-seed0", **changed)
    assert add(other, stolen, "2026-03-03").accepted
    shutil.copytree(other / "bundles", folder / "bundles", dirs_exist_ok=True)
    loaded = board.load(folder)
    assert [list(entry.runs) for entry in loaded.entries] == [["resnet50-seed0"]]
    assert "of 'resnet50-seed0' in bundle" in str(loaded.problems[0])


def test_pages_of_rows_that_are_gone_are_removed_and_nothing_else(filled):
    site = write(filled, bundles=True)
    (site / "CNAME").write_text("example.org")
    (site / "rows" / "mine.txt").write_text("kept")
    gone = board.load(filled).entries[0].digest
    shutil.rmtree(filled / "bundles" / gone)
    write(filled)
    assert not list(site.rglob(f"{gone}.*"))
    assert len(list(site.glob("rows/*.html"))) == len(SUBMITTED) - 1
    assert (site / "CNAME").exists()
    assert (site / "rows" / "mine.txt").exists()


def _evil(loaded: board.Board) -> board.Board:
    """Returns a board whose every text is markup, as none that was read could be."""
    (entry,) = loaded.entries
    runs = {}
    for audit, record in entry.runs.values():
        claims = tuple(Claim(each.level, EVIL, each.verdict, EVIL) for each in audit.claims)
        changed = dataclasses.replace(
            record,
            run_id=EVIL,
            command=EVIL,
            recipe=EVIL,
            weights_digest=EVIL,
            model=dataclasses.replace(record.model, name=EVIL),
            hardware={"platform": EVIL, "device_kind": EVIL},
            config={**record.config, EVIL: EVIL},
        )
        runs[EVIL] = (dataclasses.replace(audit, run_id=EVIL, model=EVIL, claims=claims), changed)
    evil = dataclasses.replace(
        entry,
        accepted=dataclasses.replace(entry.accepted, by=EVIL),
        claims=tuple(Claim(each.level, EVIL, each.verdict, EVIL) for each in entry.claims),
        runs=runs,
        rows=((EVIL,),),
    )
    division = dataclasses.replace(loaded.rules.divisions[1], name=EVIL)
    said = {"title": EVIL, "description": EVIL, "dataset": EVIL, "divisions": (division,)}
    return board.Board(dataclasses.replace(loaded.rules, **said), (evil,), ())


def test_text_of_submitters_is_text_on_every_page(folder, bundle, add):
    add(folder, bundle("resnet50-seed0"))
    evil = _evil(board.load(folder))
    board.write(evil, folder, folder / "site")
    pages = {path.parent.name: path for path in folder.glob("site/**/*.html")}
    assert set(pages) == {"site", "rows", "audits"}
    for path in pages.values():
        text = path.read_text()
        page = Reader(text)
        assert EVIL not in text
        assert page.all("img") == []
        assert not any(name.startswith("on") for _, attrs, _ in page.elements for name in attrs)
        assert len(page.all("script")) == (4 if path.parent.name == "site" else 0)
    for name in ("rows", "audits"):
        assert Reader(pages[name].read_text()).all("h1")[0][1] == EVIL
    held = Reader(pages["site"].read_text()).data("contents")
    assert held["title"] == EVIL
    assert held["rankings"][0]["history"][0]["name"] == EVIL
    feed = ElementTree.parse(folder / "site" / "feed.xml").getroot()
    assert EVIL in feed.find(f"{ATOM}entry").findtext(f"{ATOM}title")
    assert EVIL in json.dumps(
        json.loads((folder / "site/board.json").read_text()), ensure_ascii=False
    ).replace('\\"', '"')


def test_pages_of_rows_and_reports_run_nothing_and_fetch_only_their_style(filled):
    for path in (write(filled) / "rows").glob("*.html"):
        page = Reader(path.read_text())
        (policy,) = [
            attrs["content"]
            for attrs, _ in page.all("meta")
            if "content" in attrs and "src" in attrs["content"]
        ]
        assert policy.startswith("default-src 'none'; style-src 'self'; img-src data:;")
        assert "script" not in policy


def test_a_row_s_address_depends_on_its_bundle_and_runs_alone(filled):
    before = {path.name for path in (write(filled) / "rows").iterdir()}
    toml = filled / "board.toml"
    toml.write_text(
        toml.read_text().replace("common", "usual").replace('recipe = "usual"', 'recipe = "common"')
    )
    assert {path.name for path in (write(filled) / "rows").iterdir()} == before
    assert all(re.fullmatch(r"[0-9a-f]{16}\.html", name) for name in before)


def test_rows_of_other_data_are_ranked_apart(folder, bundle, change, add):
    add(folder, bundle("resnet50-seed0"))
    record = records.read(
        Path(__file__).parents[3] / "results/published/digits/runs/alexnet-seed0/record.json"
    )
    dataset = dataclasses.replace(record.dataset, version="2.0.0")
    assert add(folder, change("alexnet-seed0", dataset=dataset)).accepted
    titles = [ranking.title for ranking in standings.rankings(board.load(folder))]
    assert titles == ["Division common: 1.0.0", "Division common: 2.0.0"]


def test_the_parts_of_the_pages_are_installed_with_the_package_and_used(filled):
    package = Path(board.__file__).parent
    setup = configparser.ConfigParser()
    setup.read(package.parents[1] / "setup.cfg")
    patterns = setup["options.package_data"]["results.board"].split()
    installed = {path for pattern in patterns for path in package.glob(pattern)}
    assert installed == set((package / "assets").iterdir()) != set()
    text = "".join(path.read_text() for path in write(filled).rglob("*.html"))
    for path in installed:
        longest = max(re.split(r"[{}]{2}", path.read_text()), key=len)
        assert (longest.strip() in text) == (path.suffix != ".yml"), path.name


def test_elements_escape_all_but_themselves():
    made = element("p", "a<b", None, [element("b", "&")], 3, title='"', aria_label="x", id=None)
    assert made == '<p title="&quot;" aria-label="x">a&lt;b<b>&amp;</b>3</p>'


def test_models_of_several_sizes_are_told_apart(folder, bundle, change, add):
    add(folder, bundle("resnet50-seed0"))
    (ranking,) = standings.rankings(board.load(folder))
    row = ranking.rows[0]
    larger = dataclasses.replace(row, row=dataclasses.replace(row.row, image_size=64))
    assert contents.names((row, larger)) == ["resnet50 @32", "resnet50 @64"]
