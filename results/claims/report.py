"""The verdicts as Markdown, as JSON and on a terminal."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from isobudget import terminal
from results.claims.evidence import MARGIN, Check
from results.claims.verdicts import FAILS, HOLDS, UNKNOWN, check
from results.rankings.rows import Table
from results.tables import headings, markdown

_STYLES = {HOLDS: "green", FAILS: "red", UNKNOWN: "dim"}
_NOTE = (
    "A statement holds if each of its figures is as the brackets ask; for accuracies and speeds the whole 95% "
    f"t-interval over the same seeds must be. Similar accuracy means within {100 * MARGIN:.0f} percentage point. "
    "Counts are exact and need no interval."
)


def to_markdown(tables: Sequence[Table]) -> str:
    """Returns the findings as Markdown, a section a ranking."""
    lines = ["# The literature's statements on these records", "", _NOTE]
    for table in tables:
        lines += ["", f"## {markdown.plain(headings.title(table.group, table.apart))}", ""]
        rows = [
            [
                f"{markdown.plain(each.statement.text)} ({markdown.plain(each.statement.source)})",
                "<br>".join(markdown.plain(_figure(check)) for check in each.checks),
                each.verdict,
            ]
            for each in check(table)
        ]
        lines += markdown.table(["statement", "figures", "verdict"], [True] * 3, rows)
    return "\n".join(lines) + "\n"


def to_json(tables: Sequence[Table]) -> str:
    """Returns the findings as JSON text."""
    rankings = [
        {
            "title": headings.title(table.group, table.apart),
            "group": table.group.to_plain(),
            "findings": [
                {
                    "statement": each.statement.text,
                    "source": each.statement.source,
                    "verdict": each.verdict,
                    "checks": [asdict(check) for check in each.checks],
                }
                for each in check(table)
            ],
        }
        for table in tables
    ]
    return json.dumps({"margin": MARGIN, "rankings": rankings}, indent=1) + "\n"


def print_findings(tables: Sequence[Table], console: Console) -> None:
    """Prints the findings on a console, ranking by ranking."""
    for table in tables:
        console.print(
            terminal.text(headings.title(table.group, table.apart), style="bold"), end="\n\n"
        )
        for each in check(table):
            verdict = (each.verdict, f"bold {_STYLES[each.verdict]}")
            console.print(Text.assemble(verdict, ": ", each.statement.text))
            for part in each.checks:
                console.print(terminal.text(f"  {_figure(part)}", style="dim"))
        console.print()
    console.print(terminal.text(_NOTE, style="dim"))


def _figure(part: Check) -> str:
    mark = {True: "yes", False: "no", None: "?"}[part.holds]
    return f"{mark}: {part.text}"
