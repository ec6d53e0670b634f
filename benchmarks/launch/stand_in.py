"""Stands in for `benchmarks.train` where launching is measured: it sleeps, and leaves the record that lies ready."""

import sys
import time
from pathlib import Path

from benchmarks.cli import progress

READY_FILE = "ready.json"
SECONDS_FILE = "seconds.txt"


def main() -> None:
    (given,) = (each for each in sys.argv[1:] if each.startswith("--workdir="))
    workdir = Path(given.removeprefix("--workdir="))
    with progress.JsonLines() as reporter:
        reporter.report(progress.Event("training"))
        time.sleep(float((workdir / SECONDS_FILE).read_text()))
        (workdir / READY_FILE).rename(workdir / "record.json")
        reporter.report(progress.Event("done"))


if __name__ == "__main__":
    main()
