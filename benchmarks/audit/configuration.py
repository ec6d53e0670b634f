"""The configuration of a submitted run, made safe: it imports no plug-in, reads no file and leads to no folder."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from benchmarks.config import stored
from benchmarks.errors import ConfigError
from benchmarks.runs import validation
from isobudget import plugins
from isobudget.wording import quoted
from results import records
from results.records import layout
from results.records.schema import RunRecord


class NotHereError(Exception):
    """Something that cannot be checked here; one sentence says why."""


def safe_record(record: RunRecord, data_dir: str | None) -> RunRecord:
    """Returns the record with a configuration that can be loaded and run here.

    Raises:
      NotHereError: it needs a plug-in that nobody here has named.
    """
    known = {each.module for each in plugins.loaded()}
    named = record.config.get("plugins") or ()
    needed = [each.module for each in record.plugins]
    needed += [str(each) for each in named] if isinstance(named, list | tuple) else []
    for module in needed:
        if module not in known:
            raise NotHereError(
                f"it needs the plug-in {quoted(module)}: name it with --plugins if you trust it."
            )
    config = dict(record.config) | {
        "data_dir": data_dir or "",
        "init_from": "",
        "tuned": "",
        "resolved": True,
    }
    if str(config.get("dataset", "")).startswith("tiny_imagenet"):
        config["dataset"] = str(config["dataset"]).partition(":")[0]
    return dataclasses.replace(record, config=config)


def configuration(record: RunRecord) -> ConfigDict:
    """Returns the checked configuration of a record that is safe.

    Raises:
      NotHereError: it cannot be run by this version of the suite.
    """
    with run_folder(record) as folder:
        try:
            config = stored.load(layout.path_in(folder))
            validation.validate(config)
        except ConfigError as error:
            message = str(error).replace(f"{layout.path_in(folder)}: ", "")
            raise NotHereError(f"its configuration cannot be run here: {message}") from None
    return config


@contextlib.contextmanager
def run_folder(record: RunRecord) -> Iterator[Path]:
    """Gives a folder that holds the record, as a run's does, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="audit-") as temporary:
        folder = Path(temporary) / "run"
        folder.mkdir()
        records.write(record, layout.path_in(folder))
        yield folder


def own_data(record: RunRecord) -> None:
    """Refuses a dataset that lies where only the submitter's machine has it.

    Raises:
      NotHereError: it is a folder.
    """
    dataset = str(record.config.get("dataset", ""))
    if dataset.startswith("folder:") or "/" in dataset.partition(":")[2] or dataset[:1] in "/~.":
        raise NotHereError("its data are a folder of the submitter's.")
