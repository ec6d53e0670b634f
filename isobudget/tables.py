"""Tables on the terminal in which text folds where the space is short, and numbers are always whole."""

from collections.abc import Iterable, Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Spaces between two columns.
_GAP = 2
# Text is folded to no less than this.
_LEAST_TEXT = 8


def print_table(
    *,
    text: Sequence[str],
    numbers: Sequence[str],
    rows: Sequence[tuple[str, ...]],
    totals: Sequence[tuple[str, ...]] = (),
    console: Console | None = None,
) -> None:
    """Prints columns of text, aligned left, and to the right of them columns of numbers, aligned right.

    A pipe or a file gets every column as wide as its content, whatever the width of the console.

    Args:
      text: the headings of the columns of text.
      numbers: those of the columns of numbers.
      rows: the cells of each row, text first.
      totals: rows below a line.
      console: where to; standard output unless given.
    """
    console = console or Console()
    headings = (*text, *numbers)
    natural = [_width(cells) for cells in zip(headings, *rows, *totals, strict=True)]
    gaps = _GAP * (len(natural) - 1)
    widths = natural
    if console.is_terminal:
        widths = _folded(natural, len(text), console.width - gaps)
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
        width=sum(widths) + gaps,
    )
    for index, (heading, width) in enumerate(zip(headings, widths, strict=True)):
        justify: Literal["left", "right"] = "left" if index < len(text) else "right"
        table.add_column(heading, justify=justify, width=width, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    table.add_section()
    for row in totals:
        table.add_row(*map(escape, row))
    # A terminal too narrow for the numbers wraps whole lines, where rich would cut the numbers.
    console.print(table, crop=False, soft_wrap=True)


def _folded(natural: Sequence[int], texts: int, available: int) -> list[int]:
    """Returns the widths of columns, of which the first `texts` are narrowed, the widest first, as far as needed."""
    widths = list(natural)
    while sum(widths) > available:
        widest = max(range(texts), key=widths.__getitem__)
        if widths[widest] <= _LEAST_TEXT:
            break
        widths[widest] -= 1
    return widths


def _width(cells: Iterable[str]) -> int:
    return max(len(line) for cell in cells for line in cell.split("\n"))
