"""The literature's statements tested on measured records: each holds, does not hold, or was not measured.

python -m results.claims DIR... [--out=FILE.md] [--out=FILE.json]

A statement holds only if the counts, and the 95% intervals over seeds, say so; docs/results.md tells how.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.text import Text

from results import RecordError, commands, records
from results.claims.evidence import MARGIN, Check, Evidence
from results.claims.statements import STATEMENTS, Statement
from results.rankings.rows import Table, summarise
from results.records import evaluations
from results.tables import headings, markdown

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "not measured"
_STYLES = {HOLDS: "green", FAILS: "red", UNKNOWN: "dim"}
_NOTE = (
    f"A statement holds if all its figures are as the brackets say; of accuracies and speeds the whole 95% t-interval "
    f"over the same seeds has to be. Similar accuracy is within {100 * MARGIN:.0f} point. Counts are exact and need no "
    f"interval."
)


@dataclass(frozen=True)
class Finding:
    """What a ranking says of a statement."""

    statement: Statement
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """One check that fails refutes; otherwise all must have been measured."""
        if any(check.holds is False for check in self.checks):
            return FAILS
        return HOLDS if all(check.holds for check in self.checks) else UNKNOWN


def check(table: Table) -> list[Finding]:
    """Returns what a ranking says of each statement."""
    evidence = Evidence(table)
    return [Finding(each, tuple(each.check(evidence))) for each in STATEMENTS]


def to_markdown(tables: Sequence[Table]) -> str:
    """Returns the findings as Markdown, a section a ranking."""
    lines = ["# The literature's statements on these records", "", _NOTE]
    for table in tables:
        lines += ["", f"## {markdown.plain(headings.title(table.group))}", ""]
        rows = [
            [
                f"{markdown.plain(found.statement.text)} ({markdown.plain(found.statement.source)})",
                "<br>".join(markdown.plain(_figure(each)) for each in found.checks),
                found.verdict,
            ]
            for found in check(table)
        ]
        lines += markdown.table(["statement", "figures", "verdict"], [True] * 3, rows)
    return "\n".join(lines) + "\n"


def to_json(tables: Sequence[Table]) -> str:
    """Returns the findings as JSON text."""
    rankings = [
        {
            "title": headings.title(table.group),
            "group": asdict(table.group),
            "findings": [
                {
                    "statement": found.statement.text,
                    "source": found.statement.source,
                    "verdict": found.verdict,
                    "checks": [asdict(each) for each in found.checks],
                }
                for found in check(table)
            ],
        }
        for table in tables
    ]
    return json.dumps({"margin": MARGIN, "rankings": rankings}, indent=1) + "\n"


def _print(tables: Sequence[Table]) -> None:
    console = Console()
    for table in tables:
        console.print(Text(headings.title(table.group), style="bold"), end="\n\n")
        for found in check(table):
            verdict = (found.verdict, f"bold {_STYLES[found.verdict]}")
            console.print(Text.assemble(verdict, ": ", found.statement.text))
            for each in found.checks:
                console.print(Text(f"  {_figure(each)}", style="dim"))
        console.print()
    console.print(Text(_NOTE, style="dim"))


def _figure(found: Check) -> str:
    mark = {True: "yes", False: "no", None: "?"}[found.holds]
    return f"{mark}: {found.text}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments` (the process's own by default); returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m results.claims",
        description="Tests the literature's statements on the records of runs.",
        epilog="Exit status: 0 whatever the verdicts, or 2 when there are no records or --out cannot be written.",
    )
    parser.add_argument(
        "directories", nargs="+", metavar="DIR", help="a folder of runs, or of one run"
    )
    commands.add_out(parser)
    options = parser.parse_args(arguments)
    return commands.run(lambda: _run(options.directories, options.out))


def _run(directories: Sequence[str], out: Sequence[str]) -> None:
    loaded, problems = records.load_all(directories)
    if not loaded:
        raise RecordError(f"There are no readable records in {', '.join(directories)}.")
    evaluated, unreadable = evaluations.load_all(directories, loaded)
    tables = summarise(loaded, evaluations=evaluated)
    commands.write(out, {".md": lambda: to_markdown(tables), ".json": lambda: to_json(tables)})
    _print(tables)
    commands.name_left_out([*problems, *unreadable])


if __name__ == "__main__":
    sys.exit(main())
