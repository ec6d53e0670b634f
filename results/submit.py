"""Packs runs as a bundle that can be handed to anybody, and audited by `results.audit`.

    python -m results.submit RUN... --out=FILE.zip

Each RUN is the folder of a finished run, or one of many (it holds runs/*/record.json). The bundle has each run's
record, metrics log, predictions for each example, class names and evaluations, with the SHA-256 of every file, and no
path or name of this machine and its user. The same files give the same bytes. Exit status: 0, or 2 where a run cannot
be read or --out cannot be written.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from isobudget import command, paths
from results import RecordError, output
from results.bundles import contents, with_models, write
from results.records.schema import RunRecord


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string("out", None, "The bundle to write: FILE.zip.")
    flags.DEFINE_boolean(
        "weights",
        False,
        "Put the weights of each run in the bundle too, so that they can be evaluated again. Runs without plug-ins only"
        " need what their folders hold; name plug-ins with --plugins.",
    )
    flags.DEFINE_list("plugins", [], "Modules that define the runs' models, for --weights.")


def main(folders: Sequence[str]) -> None:
    """Writes the bundle and says what is in it."""
    out = flags.FLAGS.out
    if not folders:
        raise RecordError(
            "say which runs to submit: python -m results.submit RUN... --out=FILE.zip."
        )
    if not out or not out.endswith(".zip"):
        raise RecordError("say where to write the bundle: --out=FILE.zip.")
    paths.check_writable(out)
    weights_of = _weights_of if flags.FLAGS.weights else None
    try:
        written = write.write(folders, out, weights_of)
    except OSError as error:
        raise output.unwritable(out, error) from None
    runs = {contents.place_of(name).run_id for name in written}
    size = os.path.getsize(out)
    print(f"{len(runs)} run{'s' if len(runs) != 1 else ''} in {out}, {size:,} bytes")


def _weights_of(folder: Path, record: RunRecord) -> bytes:
    with tempfile.TemporaryDirectory(prefix="submit-") as temporary:
        packed = Path(temporary) / contents.WEIGHTS
        with with_models.Helper(flags.FLAGS.plugins) as helper:
            helper.ask({"do": "pack", "folder": str(folder.absolute()), "out": str(packed)})
        return packed.read_bytes()


if __name__ == "__main__":
    command.run(main, define_flags, takes_arguments=True)
