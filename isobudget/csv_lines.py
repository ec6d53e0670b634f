"""Lines of CSV, from which any reader gets every cell back as it was.

Cells that a spreadsheet would take for a formula, because a class is called `=1+1`, are left as they are, as Python's
csv, pandas and other libraries leave them: for every program that reads the file, a mark before them would be part of
the name.
"""

import csv
import io
from collections.abc import Iterable


def line(cells: Iterable[object]) -> str:
    """Returns a row as text that ends with a line feed."""
    text = io.StringIO()
    # Only characters of the writer's own line end are quoted, and readers end a line at a carriage return too.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"
