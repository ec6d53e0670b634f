"""Checks statements of the literature against measured records.

    python -m results.claims DIR... --out=FILE.md --out=FILE.json

Each DIR is a folder of runs, or of one run. A statement holds, does not hold, cannot be told, or was not measured.
Counts say so by themselves, accuracies by paired differences over seeds and test examples, speeds over seeds;
docs/results.md explains how. Exit status: 0 whatever the verdicts, or 2 where there are no records or --out cannot be
written.
"""

from collections.abc import Sequence

from absl import flags

from isobudget import command, terminal
from results import claims, output
from results.claims import report
from results.rankings import load


def define_flags() -> None:
    """Defines the command's flags."""
    output.define_out("FILE.md or FILE.json")


def main(directories: Sequence[str]) -> None:
    """Prints and writes what the runs in `directories` say of each statement."""
    runs = load.rankings(directories)
    texts = {
        ".md": lambda: claims.to_markdown(runs.tables),
        ".json": lambda: claims.to_json(runs.tables),
    }
    output.write(flags.FLAGS.out, texts)
    try:
        report.print_findings(runs.tables, terminal.console())
    finally:  # whoever reads the tables has seen enough, perhaps
        output.name_left_out(runs.problems)


if __name__ == "__main__":
    command.run(main, define_flags, takes_arguments=True)
