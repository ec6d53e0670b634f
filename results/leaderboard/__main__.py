"""Makes the leaderboard of the runs in some folders, and prints it.

    python -m results.leaderboard DIR... --out=DIR

Each DIR is a folder of runs (it holds runs/*/record.json) or the folder of one run (it holds record.json). A record
that cannot be read is named and left out. Exit status: 0, or 2 where there is nothing to make a table from or --out
cannot be written.
"""

from collections.abc import Sequence

from absl import flags

from isobudget import command
from results import RecordError, leaderboard, output
from results.leaderboard import files
from results.page import curves
from results.rankings import load
from results.records.folders import Problem


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string(
        "out",
        None,
        "The folder that leaderboard.md, .csv, .json and index.html are written to. Nothing is written without it.",
    )
    flags.DEFINE_bool(
        "plots", False, "Also write the page's figures to plots/ under --out, as SVG and PNG."
    )
    flags.DEFINE_multi_string(
        "reference",
        [],
        "A CSV file of published figures to stand beside the rankings, never in them (docs/results.md).",
    )


def main(directories: Sequence[str]) -> None:
    """Makes and prints the tables of the runs in `directories`."""
    given = flags.FLAGS
    if given.plots and given.out is None:
        raise RecordError("--plots needs --out=DIR, the folder that plots/ goes to.")
    runs = load.rankings(directories, given.reference)
    damaged: list[Problem] = []
    if given.out is not None:
        try:
            files.write(runs.tables, given.out, runs.folders, plots=given.plots)
        except OSError as error:
            raise output.unwritable(given.out, error) from None
        damaged = curves.damaged(runs.folders.values())
    try:
        leaderboard.print_tables(runs.tables)
    finally:  # whoever reads the tables has seen enough, perhaps
        output.name_left_out([*runs.problems, *damaged])


if __name__ == "__main__":
    command.run(main, define_flags, takes_arguments=True)
