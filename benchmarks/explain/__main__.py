"""Shows what a trained network has learned, stage by stage, on one HTML page.

    python -m benchmarks.explain --workdir=runs/digits/runs/resnet50-seed0
    python -m benchmarks.explain --model=resnet50 --weights=FILE --out=DIR picture.jpg

For a picture (one of the test split if you name none), the page shows the decision, where in the picture it comes from
(Grad-CAM, occlusion), the filters of the first convolution, and the channels of each stage that respond most: their
feature maps, a synthetic input that excites each, and the pictures of the dataset that do. `OUT/explain.html` needs no
other file.
"""

import sys
from pathlib import Path

from absl import flags

from benchmarks.cli import command
from benchmarks.errors import ConfigError
from benchmarks.explain import page
from benchmarks.explain.explanation import explain
from benchmarks.inference import model_flags
from benchmarks.machine import startup
from isobudget.paths import check_writable


def define_flags() -> None:
    model_flags.define()
    flags.DEFINE_string("out", None, "The folder to write the page to. By default WORKDIR/explain.")
    flags.DEFINE_boolean(
        "pngs", False, "Also write every picture of the page as a PNG file, below OUT/pngs."
    )
    flags.DEFINE_string(
        "dataset",
        None,
        "The dataset whose pictures are shown. By default the run's; with --weights, none.",
    )
    flags.DEFINE_string(
        "data_dir",
        None,
        "The directory of prepared datasets. By default the run's, or else $TFDS_DATA_DIR or ~/tensorflow_datasets.",
    )
    flags.DEFINE_integer("channels", 4, "How many channels of each stage to show.", lower_bound=1)
    flags.DEFINE_integer(
        "pictures", 5, "How many pictures of the dataset to show for each channel.", lower_bound=1
    )
    flags.DEFINE_integer(
        "examples",
        500,
        "How many pictures of the training split to search for those that excite a channel most; 0 to show none.",
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "steps",
        64,
        "How many steps of gradient ascent to spend on each synthetic input.",
        lower_bound=1,
    )


def main(paths: list[str]) -> int:
    startup.restart_with_allocator()
    startup.use_compilation_cache()
    given = flags.FLAGS
    if len(paths) > 1:
        raise ConfigError(f"one picture at a time is explained, not {len(paths)}.")
    if not given.workdir and not given.out:
        raise ConfigError("say --out=DIR.")
    if not given.workdir and not given.dataset and not paths:
        raise ConfigError("say which picture, or --dataset.")
    changes = {
        name: getattr(given, name)
        for name in ("dataset", "data_dir")
        if getattr(given, name) is not None
    }
    out = Path(given.out or Path(given.workdir) / "explain")
    check_writable(out / page.FILE_NAME)
    trained = model_flags.trained_model(**changes)
    for remark in trained.remarks:
        print(f"changed: {remark}", file=sys.stderr)
    explanation = explain(
        trained,
        paths[0] if paths else None,
        channels=given.channels,
        pictures=given.pictures,
        examples=given.examples if given.workdir or given.dataset else 0,
        steps=given.steps,
    )
    written = page.write(explanation, out, pngs=given.pngs)
    for path in written:
        print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    command.run(main, define_flags, takes_arguments=True)
