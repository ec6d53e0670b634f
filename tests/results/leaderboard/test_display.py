"""The leaderboard on terminals of any width: all of every cell is there, numbers in one piece."""

import io
import os
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
