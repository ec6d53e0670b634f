"""Labels pictures, with a confidence for each label, by a trained run or by published weights.

    python -m benchmarks.recognize --workdir=runs/digits/runs/resnet50-seed0 picture.png FOLDER
    python -m benchmarks.recognize --model=resnet50 --weights=resnet50-0676ba61.pth --format=jsonl picture.jpg
    python -m benchmarks.recognize --weights=DIR/weights.safetensors picture.jpg

Standard output gets a line for each picture: the decision as the run's task makes it (the label of highest confidence;
the class or the rest; every label above its threshold) and the most confident labels. A folder stands for the pictures
below it. A file that is not a picture is reported in its line and on standard error, the others are labeled all the
same, and the exit status is 1.

In Python, `Recognizer.from_run(workdir).recognize(pictures)` returns the same.
"""

import sys

from absl import flags

from benchmarks.cli import command
from benchmarks.errors import ConfigError
from benchmarks.inference import model_flags
from benchmarks.machine import startup
from benchmarks.recognize.output import FORMATS, rows, writer_of
from benchmarks.recognize.recognizer import Prediction, Recognizer
from input_pipeline import passes, pictures
from input_pipeline.names import printable

__all__ = ["Prediction", "Recognizer"]


def define_flags() -> None:
    model_flags.define()
    flags.DEFINE_enum(
        "format",
        "table",
        FORMATS,
        "How the result is printed: a table for people, or a line of JSON or CSV for each picture.",
    )
    flags.DEFINE_integer(
        "top",
        5,
        "How many of the most confident labels to print for each picture; 0 prints all.",
        lower_bound=0,
    )
    flags.DEFINE_float(
        "threshold",
        None,
        "The confidence, from 0 to 1, that a label needs to be decided on. By default the run's own thresholds, which "
        "a single_label run does not have.",
    )
    flags.DEFINE_integer(
        "batch_size",
        None,
        "How many pictures to work on at once. By default the run's, or 64 with --weights; fewer for few pictures.",
        lower_bound=1,
    )


def main(arguments: list[str]) -> int:
    # Without the allocator's settings: for a few pictures, starting anew takes longer than they save.
    startup.use_compilation_cache()
    given = flags.FLAGS
    if not arguments:
        raise ConfigError("say which pictures or folders.")
    paths = pictures.find(arguments)
    changes = {} if given.batch_size is None else {"eval_batch_size": given.batch_size}
    recognizer = Recognizer(model_flags.trained_model(**changes), given.threshold)
    for remark in recognizer.trained.remarks:
        print(f"changed: {remark}", file=sys.stderr)
    count = len(recognizer.trained.logit_names)
    writer = writer_of(given.format, recognizer, min(given.top or count, count))
    failed = 0
    with passes.progress("recognizing", len(paths)) as advance:
        for row in rows(map(printable, paths), recognizer.stream(paths), given.top):
            writer.write(row)
            advance(1)
            if "error" in row:
                failed += 1
                print(f"{row['error']}", file=sys.stderr)
    writer.close()
    return 1 if failed else 0


if __name__ == "__main__":
    command.run(main, define_flags, takes_arguments=True)
