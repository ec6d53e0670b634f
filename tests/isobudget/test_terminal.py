"""Tables on terminals of any width: all of every cell is there, numbers in one piece."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from isobudget import terminal

WIDTHS = (40, 60, 80, 120)
COLUMNS = [
    terminal.Column("rank", key=True),
    terminal.Column("model", left=True, key=True),
    terminal.Column("top-1 %"),
    terminal.Column("train img/s", drop=2),
    terminal.Column("status", left=True, drop=1),
    terminal.Column("infer img/s", drop=3),
]


def lines_of(table, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(table)
    return console.file.getvalue().splitlines()


def slices(table, width: int) -> dict[str, list[str]]:
    """Returns what stands under and in each heading, line by line, by heading."""
    lines = [line.ljust(width) for line in lines_of(table, width)]
    assert max(map(len, lines)) <= width
    result, left = {}, 0
    for column in table.columns:
        cut = [line[left : left + column.width] for line in lines if "─" not in line]
        result[column.header.plain] = cut
        left += column.width + 2
    return result


def together(texts) -> str:
    return "".join("".join(texts).split())


NUMBERS = st.one_of(
    st.integers(0, 10**9).map("{:,}".format),
    st.floats(0, 100).map("{:.2f} ± 1.25".format),
    st.just(""),
)
TEXTS = st.text("abcXYZ_:=0.5,-[] /", max_size=60)
ROWS = st.lists(st.tuples(NUMBERS, TEXTS, NUMBERS, NUMBERS, TEXTS, NUMBERS), max_size=5)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, width=st.integers(34, 160))
def test_every_cell_is_there_and_numbers_are_in_one_piece(rows, width):
    seen = set()
    for table in terminal.fitted(COLUMNS, rows, width):
        for heading, cut in slices(table, width).items():
            place = [column.heading for column in COLUMNS].index(heading)
            cells = [row[place] for row in rows]
            assert together(cut) == together([heading, *cells])
            if not COLUMNS[place].left:
                assert {cell for cell in cells if cell} <= {line.strip() for line in cut}
            seen.add(heading)
    assert seen == {column.heading for column in COLUMNS}


@pytest.mark.parametrize("width", range(8, 34))
def test_a_terminal_too_narrow_for_a_number_breaks_it_and_loses_nothing(width):
    row = ("1", "mobilenet_v1", "97.22 ± 0.43", "1,093", "1 of 3 failed", "24,267")
    (text,) = ["".join(lines_of(t, width)) for t in terminal.fitted(COLUMNS[2:3], [row[2:3]], 6)]
    assert together(text.replace("─", "")) == "top-1%97.22±0.43"
    tables = terminal.fitted(COLUMNS, [row], width)
    assert "…" not in "".join(line for table in tables for line in lines_of(table, width))


def test_all_stands_in_one_table_where_it_fits_and_its_keys_in_each_of_several_where_not():
    row = ("1", "resnet50", "97.22 ± 0.43", "1,093", "completed", "4,321")
    (table,) = terminal.fitted(COLUMNS, [row], 100)
    assert [column.header.plain for column in table.columns] == [c.heading for c in COLUMNS]
    tables = terminal.fitted(COLUMNS, [row], 44)
    assert [[column.header.plain for column in table.columns] for table in tables] == [
        ["rank", "model", "top-1 %", "status"],
        ["rank", "model", "train img/s", "infer img/s"],
    ]


def test_square_brackets_and_emoji_codes_are_no_markup_and_a_text_keeps_its_style():
    names = [terminal.Column("[b]model[/b]", left=True), terminal.Column("[red]")]
    (table,) = terminal.fitted(
        names, [("a[bold]:smile:", Text("7", style="red")), ("b", "[8]")], 60
    )
    text = "\n".join(lines_of(table, 60))
    for whole in ("[b]model[/b]", "[red]", "a[bold]:smile:", "[8]"):
        assert whole in text


def test_a_line_break_in_a_name_breaks_no_row():
    (table,) = terminal.fitted(terminal.columns(["model"]), [("a\nb",)], 40)
    assert "a b" in lines_of(table, 40)[2]


def test_headings_alone_are_a_table():
    (table,) = terminal.fitted(terminal.columns(["model", "img/s"]), [], 40)
    assert lines_of(table, 40)[0].split() == ["model", "img/s"]


def test_a_row_has_its_style():
    (table,) = terminal.fitted(terminal.columns(["model"]), [("a",), ("b",)], 40, ["red", ""])
    assert [row.style for row in table.rows] == ["red", ""]


def test_a_terminal_has_a_width_and_a_pipe_has_none(monkeypatch):
    monkeypatch.setenv("COLUMNS", "44")
    assert terminal.console().width > 10_000
    monkeypatch.setenv("FORCE_COLOR", "1")  # which rich takes for a terminal
    assert terminal.console().width == 44


def test_a_text_is_printed_as_it_is_and_moves_no_cursor():
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(terminal.text("cat[tabby] [/x] :smile: {0} a\nb\x1b[2J", "red"))
    assert console.file.getvalue() == "\x1b[31mcat[tabby] [/x] :smile: {0} a b [2J\x1b[0m\n"
