"""Tables on a terminal of any width: no number is ever cut, and what does not fit stands in a second table below.

    terminal.print_table(terminal.console(), terminal.columns(["model", "img/s"]), [["resnet50", "1,093"]])

Columns of text are folded over several lines, those of numbers stay whole. Where not all columns fit side by side, the
others follow in a table of their own, beside the columns that say which row it is (its rank, its model). In a pipe or a
file there is no width to keep to, and every row is one line.
"""

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from isobudget import command

# Columns that are text.
TEXTS = ("model", "status", "source", "verdict", "")
# Columns that say which row it is.
KEYS = ("rank", "model")

Cell = str | Text

_GAP = 2  # characters that a column takes beside its text
_UNLIMITED = 100_000  # characters: more than any table is wide
# A column of text that is folded keeps this part of the terminal's width, and so many characters at least.
_SHARE, _NARROWEST = 1 / 3, 8


@dataclass(frozen=True)
class Column:
    """A column of a terminal's table.

    Attributes:
      heading: what stands above it.
      left: whether it is text: aligned left and folded where it is long. Numbers are aligned right and stay whole.
      key: whether it says which row it is, and so is there again in every table that the rest is spread over.
      drop: where not all columns fit, those of larger numbers move to the next table first, the last of equals first.
    """

    heading: str
    left: bool = False
    key: bool = False
    drop: int = 0


class _Console(Console):
    """A console that leaves it to `isobudget.command` what to do when its reader is gone."""

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError that it is called for


def console() -> Console:
    """Returns a console on the standard output: as wide as the terminal, or without limit where it is not one."""
    shown = _Console()
    return shown if shown.is_terminal or shown.is_jupyter else _Console(width=_UNLIMITED)


def columns(
    headings: Iterable[str], left: Collection[str] = TEXTS, keys: Collection[str] = KEYS
) -> list[Column]:
    """Returns the columns of these headings.

    Args:
      headings: from left to right.
      left: which of them are text.
      keys: which of them say which row it is.
    """
    return [Column(name, name in left, name in keys) for name in headings]


def print_table(
    to: Console,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    styles: Sequence[str] = (),
    totals: Sequence[Sequence[Cell]] = (),
) -> None:
    """Prints the rows on a console, in as many tables as its width asks for, each with an empty line after it.

    Args:
      to: see `console`.
      columns: as many as a row has cells.
      rows: the cells as they are shown, square brackets and all; `rich.text.Text` brings a style of its own.
      styles: of the rows, such as "red"; none by default.
      totals: rows below a line.
    """
    # Before widths are measured: what the terminal's encoding lacks may become several characters.
    columns = [dataclasses.replace(each, heading=_encodable(each.heading, to)) for each in columns]
    rows, totals = (
        [[each if isinstance(each, Text) else _encodable(each, to) for each in row] for row in part]
        for part in (rows, totals)
    )
    for table in fitted(columns, rows, to.width, styles, totals):
        to.print(table)
        to.print()


def fitted(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    width: int,
    styles: Sequence[str] = (),
    totals: Sequence[Sequence[Cell]] = (),
) -> list[Table]:
    """Returns the rows as tables of `width` characters, one below the other; see `print_table`."""
    above = [[_text(cell) for cell in row] for row in rows]
    cells = above + [[_text(cell) for cell in row] for row in totals]
    texts = [[text(column.heading), *(row[i] for row in cells)] for i, column in enumerate(columns)]
    wanted = [max(cell_len(each.plain) for each in column) for column in texts]
    least = [_least(column, texts[i], width) for i, column in enumerate(columns)]
    tables = []
    for places in _split(columns, least, width):
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
        for i, size in zip(places, _sizes(columns, places, least, wanted, width), strict=True):
            justify: JustifyMethod = "left" if columns[i].left else "right"
            table.add_column(texts[i][0], justify=justify, overflow="fold", width=size)
        for number, row in enumerate(cells):
            if number == len(above):
                table.add_section()
            style = styles[number] if number < len(styles) else None
            table.add_row(*(row[i] for i in places), style=style)
        tables.append(table)
    return tables


def text(content: str, style: str = "") -> Text:
    """Returns what a console prints as it is, on one line: brackets are no markup, and nothing in it moves the cursor.

    Whatever comes from users, such as the name of a class, a file or a model, is printed through this.
    """
    return Text(one_line(content), style)


def one_line(text: str) -> str:
    """Returns the text with a space for each character that does not print, such as a line break or an escape."""
    return "".join(character if character.isprintable() else " " for character in text)


def _encodable(content: str, to: Console) -> str:
    """Returns the text as the console's encoding can write it; see `isobudget.command`."""
    try:
        return content.encode(to.encoding, command.PLAIN_LETTERS).decode(to.encoding)
    except UnicodeDecodeError:  # an encoding that does not read what it wrote
        return content


def _text(cell: Cell) -> Text:
    """Returns the cell as text that has no markup, on one line."""
    return cell if isinstance(cell, Text) else text(cell)


def _least(column: Column, texts: Sequence[Text], width: int) -> int:
    """Returns how narrow a column may be, in characters.

    A heading may be broken between its words, a text anywhere, a number nowhere.
    """
    heading = max((cell_len(word) for word in texts[0].plain.split()), default=1)
    longest = max((cell_len(each.plain) for each in texts[1:]), default=1)
    if column.left:
        longest = min(longest, max(int(_SHARE * width), _NARROWEST))
    return max(heading, longest)


def _split(columns: Sequence[Column], least: Sequence[int], width: int) -> list[list[int]]:
    """Returns the places of the columns of each table, from left to right."""
    keys = [i for i, column in enumerate(columns) if column.key]
    waiting = [i for i, column in enumerate(columns) if not column.key]
    tables: list[list[int]] = []
    while waiting or not tables:
        kept = sorted(keys + waiting)
        # Not below the keys and one other: what then does not fit is folded.
        while sum(least[i] + _GAP for i in kept) > width and len(kept) > len(keys) + 1:
            kept.remove(max((i for i in kept if i not in keys), key=lambda i: (columns[i].drop, i)))
        tables.append(kept)
        waiting = [i for i in waiting if i not in kept]
    return tables


def _sizes(
    columns: Sequence[Column],
    places: Sequence[int],
    least: Sequence[int],
    wanted: Sequence[int],
    width: int,
) -> list[int]:
    """Returns how wide each column of one table is, in characters.

    What is left over goes to the texts, then to the headings. Where there is too little, texts give way before numbers.
    """
    sizes = {i: least[i] for i in places}
    spare = width - sum(size + _GAP for size in sizes.values())
    for i in sorted(places, key=lambda i: not columns[i].left):
        change = min(wanted[i] - sizes[i], spare) if spare > 0 else max(1 - sizes[i], spare)
        sizes[i] += change
        spare -= change
    return [sizes[i] for i in places]
