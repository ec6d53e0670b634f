"""The leaderboard: Markdown, CSV, JSON, the page and a terminal table, each a function of what runs left.

python -m results.leaderboard DIR... --out=DIR
"""

import argparse
import csv
import io
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from results import RecordError, commands, records
from results.rankings import reported
from results.rankings.rows import Table, summarise
from results.records import evaluations
from results.records.files import write_atomically
from results.records.schema import RunRecord
from results.tables import document, terminal
from results.tables.columns import COLUMNS
from results.tables.markdown import to_markdown

__all__ = ["COLUMNS", "main", "print_table", "summarise", "to_csv", "to_markdown", "write_tables"]


def to_csv(tables: Iterable[Table]) -> str:
    """Returns the tables as one CSV: fractions, not percent; what was not measured is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in COLUMNS)
    for table in tables:
        writer.writerows([column.number(row) for column in COLUMNS] for row in table.rows)
    return text.getvalue()


def write_tables(
    run_records: Iterable[RunRecord],
    out_dir: str | os.PathLike[str],
    run_evaluations: Iterable[evaluations.Evaluation] = (),
    folders: Mapping[str, Path] | None = None,
) -> tuple[Path, ...]:
    """Writes `leaderboard.md`, `.csv`, `.json` and `index.html` into `out_dir`; returns their paths.

    The same records give the same bytes, whatever order they come in. `folders` tells by run id
    where a run's files lie, of which the page draws learning curves.

    Raises:
      RecordError: there are no records.
      OSError: the folder or a file cannot be written.
    """
    tables = summarise(run_records, evaluations=run_evaluations)
    if not tables:
        raise RecordError("There are no records to make a table from.")
    return _write(tables, out_dir, folders or {})


def _write(
    tables: Sequence[Table], out_dir: str | os.PathLike[str], folders: Mapping[str, Path]
) -> tuple[Path, ...]:
    from results import page  # Altair and Vega take seconds: not for a table on the terminal

    texts = {"md": to_markdown(tables), "csv": to_csv(tables), "json": document.to_json(tables)}
    paths = {kind: Path(out_dir) / f"leaderboard.{kind}" for kind in texts}
    for kind, text in texts.items():
        write_atomically(paths[kind], text)
    return (*paths.values(), page.write(tables, out_dir, folders))


def print_table(run_records: Iterable[RunRecord], console: Console | None = None) -> None:
    """Prints the tables on the terminal, or on `console`, leaving out columns that do not fit."""
    terminal.print_tables(summarise(run_records), console)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments` (the process's own by default); returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m results.leaderboard",
        description="Makes the tables again from the records of runs, and prints them.",
        epilog="A record that cannot be read is named and left out. Exit status: 0, or 2 when "
        "there is nothing to make a table from, --reference is wrong or --out cannot be written.",
    )
    parser.add_argument(
        "directories",
        nargs="+",
        metavar="DIR",
        help="a folder of runs (it holds runs/*/record.json) or of one run (record.json)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="where leaderboard.md, .csv, .json and index.html go; without it nothing is written",
    )
    parser.add_argument(
        "--plots",
        action="store_true",
        help="also write the page's figures to plots/ under --out, as SVG and PNG",
    )
    parser.add_argument(
        "--reference",
        metavar="FILE.csv",
        action="append",
        default=[],
        help="published figures to stand beside the rankings, never in them (docs/results.md)",
    )
    options = parser.parse_args(arguments)
    return commands.run(
        lambda: _run(options.directories, options.out, options.reference, options.plots)
    )


def _run(
    directories: Sequence[str], out: str | None, references: Sequence[str], plots: bool
) -> None:
    if plots and out is None:
        raise RecordError("--plots needs --out=DIR, the folder that plots/ goes to.")
    published = [each for path in references for each in reported.read(path)]
    loaded, folders, problems = records.load_with_folders(directories)
    where = ", ".join(directories)
    if not loaded and problems:
        raise RecordError(
            f"None of the {len(problems)} records in {where} can be read; the first is {problems[0]}"
        )
    if not loaded:
        raise RecordError(
            f"There are no records in {where}: a run writes DIR/runs/<run id>/record.json."
        )
    evaluated, unreadable = evaluations.load_all(directories, loaded)
    problems += unreadable
    tables = summarise(loaded, reported=published, evaluations=evaluated)
    if out is not None:
        try:
            _write(tables, out, folders)
            if plots:
                from results.page.plots import write_plots

                write_plots(tables, out, folders)
        except OSError as error:
            raise commands.unwritable(out, error) from None
    terminal.print_tables(tables)
    commands.name_left_out(problems)


if __name__ == "__main__":
    sys.exit(main())
