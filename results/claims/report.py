"""The verdicts as Markdown, as JSON and on a terminal."""

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from isobudget import terminal
from results.claims.evidence import FAILS, HOLDS, MARGIN, OPEN, UNKNOWN, Check
from results.claims.verdicts import check, tested
from results.rankings.rows import Table
from results.rankings.significance import LEVEL
from results.tables import headings, markdown

_STYLES = {HOLDS: "green", FAILS: "red", OPEN: "yellow", UNKNOWN: "dim"}
_MARKS = {HOLDS: "yes", FAILS: "no", OPEN: "unclear", UNKNOWN: "?"}
_NOTE = (
    "A statement holds if each of its figures is as the brackets ask, and does not hold if one is not. Where chance "
    "could have put a difference or ratio on either side of the bound, it cannot be told. Intervals are of 95%: over "
    "seeds and test examples where predictions were kept, else over seeds alone; over the examples of one seed they "
    "are about these weights, not about the recipe. p is two-sided, of the difference being the bound, and must be at "
    f"most {LEVEL:g}: for accuracies after Holm's correction for all that the ranking compares, so that an interval "
    "that just clears the bound may not do; for speeds as it is. Similar accuracy means within "
    f"{100 * MARGIN:.0f} percentage point. Counts are "
    "exact and need no interval."
)


def to_markdown(tables: Sequence[Table]) -> str:
    """Returns the findings as Markdown, a section a ranking."""
    lines = ["# The literature's statements on these records", "", _NOTE]
    for table in tables:
        findings = check(table, tables)
        lines += ["", f"## {markdown.plain(headings.title(table.group, table.apart))}", ""]
        lines += [_correction(tested(findings)), ""] if tested(findings) else []
        rows = [
            [
                f"{markdown.plain(each.statement.text)} ({markdown.plain(each.statement.source)})",
                "<br>".join(markdown.plain(_figure(check)) for check in each.checks),
                each.verdict,
            ]
            for each in findings
        ]
        lines += markdown.table(["statement", "figures", "verdict"], [True] * 3, rows)
    return "\n".join(lines) + "\n"


def to_json(tables: Sequence[Table]) -> str:
    """Returns the findings as JSON text."""
    rankings = []
    for table in tables:
        findings = check(table, tables)
        rankings.append(
            {
                "title": headings.title(table.group, table.apart),
                "group": table.group.to_plain(),
                "comparisons": tested(findings),
                "findings": [
                    {
                        "statement": each.statement.text,
                        "source": each.statement.source,
                        "verdict": each.verdict,
                        "checks": [_plain(part) for part in each.checks],
                    }
                    for each in findings
                ],
            }
        )
    document = {"margin": MARGIN, "level": LEVEL, "note": _NOTE, "rankings": rankings}
    return json.dumps(document, indent=1) + "\n"


def print_findings(tables: Sequence[Table], console: Console) -> None:
    """Prints the findings on a console, ranking by ranking."""
    for table in tables:
        findings = check(table, tables)
        console.print(
            terminal.text(headings.title(table.group, table.apart), style="bold"), end="\n\n"
        )
        for each in findings:
            verdict = (each.verdict, f"bold {_STYLES[each.verdict]}")
            console.print(Text.assemble(verdict, ": ", each.statement.text))
            for part in each.checks:
                console.print(terminal.text(f"  {_figure(part)}", style="dim"))
        if tested(findings):
            console.print(terminal.text(_correction(tested(findings)), style="dim"))
        console.print()
    console.print(terminal.text(_NOTE, style="dim"))


def _correction(number: int) -> str:
    return f"p-values are corrected for {number} comparison{'s' if number > 1 else ''} of accuracy."


def _plain(part: Check) -> dict[str, Any]:
    """Returns a check as JSON values; `holds` is null unless the verdict says so either way."""
    return {
        "text": part.text,
        "holds": {HOLDS: True, FAILS: False}.get(part.verdict),
        "verdict": part.verdict,
        "p_value": _rounded(part.p_value),
        "p_corrected": _rounded(part.p_corrected),
    }


def _rounded(p_value: float | None) -> float | None:
    """Returns a p-value to 6 digits: another SciPy must not change the last one of a double's."""
    return None if p_value is None else float(f"{p_value:.6g}")


def _figure(part: Check) -> str:
    text = f"{_MARKS[part.verdict]}: {part.text}"
    if part.p_value is not None:
        text += f", p {_p(part.p_value)}"
    return text if part.p_corrected is None else f"{text}, corrected {_p(part.p_corrected)}"


def _p(p_value: float) -> str:
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.2g}"
