"""Compares two leaderboards: what changed in rank, in accuracy (with its interval) and in cost.

    python -m results.compare A B --out=FILE.md --out=FILE.json

A and B are folders of runs (they hold runs/*/record.json) or `leaderboard.json` files. Changes are B minus A, ratios B
over A. Exit status: 0, or 2 where A or B cannot be read or --out cannot be written.
"""

from collections.abc import Sequence

from absl import flags

from isobudget import command, terminal
from results import RecordError, compare, output
from results.compare import report


def define_flags() -> None:
    """Defines the command's flags."""
    output.define_out("FILE.md or FILE.json")


def main(paths: Sequence[str]) -> None:
    """Prints and writes what changed from the first of two leaderboards to the second."""
    if len(paths) != 2:
        raise RecordError(f"say two leaderboards to compare, A and B; there are {len(paths)}.")
    (a, left_out_of_a), (b, left_out_of_b) = map(compare.load, paths)
    try:
        comparisons, alone = compare.compare(a, b)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise RecordError(
            f"{paths[0]} or {paths[1]} is not a leaderboard.json as this version writes it"
            f" ({type(error).__name__}: {error})."
        ) from None
    if not comparisons:
        raise RecordError(f"{paths[0]} and {paths[1]} have no task in common.")
    texts = {
        ".md": lambda: compare.to_markdown(comparisons, alone),
        ".json": lambda: compare.to_json(comparisons, alone),
    }
    output.write(flags.FLAGS.out, texts)
    try:
        report.print_comparisons(comparisons, alone, terminal.console())
    finally:  # whoever reads the tables has seen enough, perhaps
        output.name_left_out([*left_out_of_a, *left_out_of_b])


if __name__ == "__main__":
    command.run(main, define_flags, takes_arguments=True)
