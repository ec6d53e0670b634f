"""How values that come from users stand in sentences."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isobudget.wording import exact, quoted, quoted_path, shown

_PACKAGES = ("benchmarks", "input_pipeline", "isobudget", "models", "results")


@pytest.mark.parametrize("name", ["it's", 'a "cat"', r"C:\cats", "猫 é", "[tabby]{0}"])
def test_names_read_as_they_are(name):
    assert quoted(name) == shown(name) == quoted_path(Path(name)) == f"'{name}'"


def test_what_cannot_be_printed_is_escaped_and_bytes_of_file_names_are_bytes():
    assert quoted("a\x1b[2J\n") == r"'a\x1b[2J\n'"
    assert quoted_path("caf\udce9.png") == r"'caf\xe9.png'"


def test_paths_are_whole_and_other_values_are_short():
    long = "/" + 50 * "cats/"
    assert quoted_path(long) == f"'{long}'"
    assert len(quoted(long)) <= 62


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "null"),
        (10**400, f"1{28 * '0'}…{30 * '0'}"),
        (0.5, "0.5"),
        (("it's", r"\d", 2), r"['it's', '\d', 2]"),
        ({"a": [1, False]}, "{a: [1, false]}"),
    ],
)
def test_values_are_not_written_as_python_does(value, text):
    assert shown(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 17))
def test_an_exact_number_reads_back(value, least):
    assert float(exact(value, least)) == value


def test_an_exact_number_has_no_more_digits_than_it_needs():
    assert [exact(each) for each in (0.5, 1e15, 0.6666667, 2.0)] == [
        "0.5",
        "1e+15",
        "0.6666667",
        "2",
    ]


def test_no_message_uses_pythons_own_quoting():
    sources = (
        path for each in _PACKAGES for path in (Path(__file__).parents[2] / each).rglob("*.py")
    )
    quoting = [
        f"{path.name}: {match[0]}"
        for path in sources
        for match in re.finditer(r"\{[^{}]*![ra]\}", path.read_text())
    ]
    assert quoting == []


def test_a_number_that_python_makes_no_text_of_is_told_by_its_length():
    assert shown(10**5000) == "a number of more than 30 digits"
