"""Draws a run's most confident mistakes as the model saw them: `predictions/mistakes.png` and `.json`.

    python -m benchmarks.mistakes --workdir=runs/digits/runs/resnet50-seed0

A run writes both files when it completes; this command writes them for a run that has none. The PNG is a sheet of
square tiles without gaps, row by row. The JSON has `split`, `side` (of a tile, in pixels), `columns`, `pictures` (each
tile's index in the split) and `mistakes`: what each example is, what it was taken for, and how confidently.
"""

from pathlib import Path

from absl import flags

from benchmarks import tasks
from benchmarks.cli import command
from benchmarks.config import stored
from benchmarks.config.setup import set_up
from benchmarks.errors import ConfigError
from benchmarks.runs.record import finished_record
from benchmarks.train.mistakes import write
from results.records import layout, predictions


def define_flags() -> None:
    flags.DEFINE_string(
        "workdir",
        None,
        "The folder of a finished run. The pictures are written to its predictions/.",
    )
    flags.mark_flag_as_required("workdir")


def main() -> None:
    workdir = Path(flags.FLAGS.workdir)
    record = finished_record(workdir)
    if record is None:
        raise ConfigError(f"there is no completed run in {workdir}.")
    predictions.read(workdir, record)  # refuses a run from before predictions were kept
    config = stored.load(layout.path_in(workdir))
    setup = set_up(config, record.model.num_classes)
    count = write(workdir, record, setup, tasks.load_dataset(config))
    path, _ = layout.mistakes_in(workdir)
    print(f"wrote {path}: {count} pictures" if count else "there is no mistake to show")


if __name__ == "__main__":
    command.run(main, define_flags)
