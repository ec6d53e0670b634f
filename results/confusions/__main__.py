"""Shows which classes a run mistakes for which, how far its confidence can be trusted, and its most confident mistakes.

    python -m results.confusions RUN --split=validation --out=FILE.json

RUN is the folder of a finished run; it holds record.json, and the predictions that the run kept. Exit status: 0, or 2
where they cannot be read or --out cannot be written.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from isobudget import command, terminal
from isobudget.wording import quoted_path
from results import RecordError, confusions, output, records
from results.confusions import report
from results.records import predictions


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_enum(
        "split",
        None,
        predictions.SPLITS,
        "Which predictions to look at. By default those of the test split, where the run kept them.",
    )
    output.define_out("FILE.json")


def main(folders: Sequence[str]) -> None:
    """Prints and writes the confusions of the run in the one of `folders`."""
    if len(folders) != 1:
        raise RecordError(f"say the folder of one run; there are {len(folders)}.")
    folder = Path(folders[0])
    path = records.path_in(folder)
    if not path.is_file():
        raise RecordError(
            f"there is no run in {quoted_path(folder)}: a run's folder has {path.name}."
        )
    run = records.read(path)
    try:
        of_run = confusions.of(predictions.read(folder, run, flags.FLAGS.split))
    except RecordError as error:
        raise RecordError(f"{folder}: {error}") from None
    output.write(flags.FLAGS.out, {".json": lambda: confusions.to_json(of_run, run)})
    report.print_confusions(of_run, run, terminal.console())
    try:
        predictions.read_class_names(folder)
    except RecordError as error:
        print(f"warning: {folder}: {error} Classes are called by their numbers.", file=sys.stderr)


if __name__ == "__main__":
    command.run(main, define_flags, takes_arguments=True)
