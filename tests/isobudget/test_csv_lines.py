"""Lines of CSV."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from isobudget import csv_lines

cells = st.text(st.characters(codec="utf-8")) | st.sampled_from(["=1+1", "-1", "a\rb", "c\r\nd"])


@given(st.lists(st.lists(cells, min_size=2), min_size=1))
def test_every_cell_comes_back(rows):
    text = "".join(map(csv_lines.line, rows))
    assert list(csv.reader(io.StringIO(text, newline=""))) == rows


def test_plain_rows_are_plain():
    assert csv_lines.line(["resnet50", 1, 0.5, ""]) == "resnet50,1,0.5,\n"
