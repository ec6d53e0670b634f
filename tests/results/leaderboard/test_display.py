"""The leaderboard on terminals of any width: all of every cell is there, numbers in one piece."""

import csv
import html
import io
import json
import os
import re
import subprocess
import sys

import pytest
from rich.console import Console

from results import leaderboard, records
from results.rankings import rows
from results.rankings.reported import Reported
from results.tables import columns, reported_cells

WIDTHS = (40, 60, 80, 120)


@pytest.fixture
def run_records(generated):
    return list(generated())


@pytest.mark.parametrize("width", WIDTHS)
def test_the_leaderboard_shows_every_cell_at_every_width(run_records, width):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    leaderboard.print_table(run_records, console)
    text = console.file.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    (table,) = rows.summarize(run_records)
    for column in columns.shown(table.group.task):
        if column.name in ("model", "status"):
            continue
        for row in table.rows:
            assert column.cell(row) in text
    for row in table.rows:
        assert row.model[:10] in text


def test_in_a_pipe_every_row_is_one_line(run_records, tmp_path):
    for record in run_records:
        records.write(record, records.record_path(tmp_path, record.run_id))
    ended = subprocess.run(
        [sys.executable, "-m", "results.leaderboard", tmp_path],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "40"},
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    (table,) = rows.summarize(run_records)
    shown = [c for c in columns.shown(table.group.task) if c.name != "status"]
    for row in table.rows:
        (line,) = (line for line in lines if f" {row.model} " in line and ":  " not in line)
        assert all(column.cell(row) in line for column in shown)


@pytest.mark.parametrize("width", WIDTHS)
def test_test_sets_and_published_figures_are_whole(run, width):
    published = [Reported("resnet50", "He et al. 2015, table 4, ten crops", {"top1": 0.7724})]
    (table,) = rows.summarize([run("resnet50", 0, 0.75)], reported=published)
    console = Console(width=width, file=io.StringIO(), color_system=None)
    leaderboard.print_tables([table], console)
    text = console.file.getvalue()
    assert "…" not in text
    header, cells = reported_cells.table(table)
    for name, cell in zip(header, cells[0], strict=True):
        if name not in ("source", "model", ""):
            assert cell in text


# Markup of rich, of Markdown and of HTML, a format's braces, and what moves a terminal's cursor.
AWKWARD = (
    "cat[tabby]",
    "cat[persian]",
    "a[/x]",
    "[bold]b",
    "{c}",
    "{0.__class__}",
    ":smile:",
    "<script>alert(1)</script>",
    "a&amp;b",
    "back`tick",
    "``two``",
    "~~x~~ $y$ *z*",
    "%s %d",
)


def shown_in(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("name", AWKWARD)
def test_names_of_users_are_whole_wherever_they_are_printed(run, tmp_path, command_here, name):
    def named(value, error):
        failed = {"status": "crashed", "error": error, "metrics": records.Metrics()}
        return [
            run(value, 0, 0.9, run_id="a", recipe=name),
            run(value, 1, run_id="b", recipe=name, **failed),
        ]

    for folder, error in (("a", name), ("b", f"In {name}.")):
        for record in named(name, error):
            records.write(record, records.record_path(tmp_path / folder, record.run_id))
    for command in ("results.leaderboard", "results.claims"):
        ended = command_here(command, tmp_path / "a")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert f"{name} recipe" in ended.stdout
    ended = command_here("results.compare", tmp_path / "a", tmp_path / "b")
    assert shown_in(name) in shown_in(ended.stdout)
    ended = command_here("results.leaderboard", tmp_path / "a", f"--out={tmp_path}")
    assert ended.stdout.count(name) >= 4  # title, what is matched, row, error
    assert f"<code>{html.escape(name, quote=False)}</code>" in rendered(
        (tmp_path / "leaderboard.md").read_text()
    )
    (row, *_) = csv.DictReader((tmp_path / "leaderboard.csv").open())
    assert row["model"] == name
    page = (tmp_path / "index.html").read_text()
    assert "<script>alert(1)" not in page
    assert (
        json.dumps(name)[1:-1]
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
        in page
    )


def rendered(text: str) -> str:
    """Returns the HTML of code spans in Markdown: a fence of as many backticks, and one space inside taken off."""
    spans = re.finditer(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", text)
    shown = []
    for span in spans:
        inner = span[2]
        if inner.startswith(" ") and inner.endswith(" ") and inner.strip():
            inner = inner[1:-1]
        shown.append(f"<code>{html.escape(inner, quote=False)}</code>")
    return "".join(shown)


def test_nothing_in_a_name_moves_the_cursor(run, tmp_path, command_here):
    name = "a\x1b[2Jb\rc\x07"
    record = run(name, 0, 0.9, run_id="a", recipe=name)
    records.write(record, records.record_path(tmp_path, "a"))
    damaged = tmp_path / "runs" / "b\x1b[2J" / "record.json"
    damaged.parent.mkdir()
    damaged.write_text("{")
    ended = command_here("results.leaderboard", tmp_path)
    assert ended.returncode == 0
    for text in (ended.stdout, ended.stderr):
        assert "\x1b" not in text
        assert "\r" not in text
    assert "a [2Jb c" in ended.stdout
    assert "Left out: " in ended.stderr
