"""Stands in for `benchmarks.train` where launching is tested: it sleeps, and leaves a record that lies ready.

`tiny:width=N` sleeps N tenths of a second in steps of one, telling each; `fault=killed` dies by SIGKILL, and
`fault=raises` with exit status 3.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from benchmarks.cli import progress


def main() -> None:
    given = dict(each.lstrip("-").split("=", 1) for each in sys.argv[1:])
    workdir = Path(given["workdir"])
    model = json.loads((workdir / "config.json").read_text())["model"]
    _, _, options = model.partition(":")
    values = dict(each.split("=") for each in options.split(",") if each)
    with (workdir / "started.txt").open("a") as file:
        print(given.get("process", 0), given.get("processes", 1), os.getpid(), file=file)
    devices = os.environ.get("CUDA_VISIBLE_DEVICES"), sorted(os.sched_getaffinity(0))
    (workdir / "devices.json").write_text(json.dumps(devices))
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    with progress.JsonLines() as reporter:
        if values.get("fault") == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if values.get("fault") == "raises":
            sys.exit(3)
        steps = int(values.get("width", 8))
        for step in range(1, steps + 1):
            time.sleep(0.1)
            reporter.report(progress.Event("training", step, steps))
            if told:
                (workdir / "saved.txt").touch()
                sys.exit(75)
        if given.get("process", "0") == "0":
            (workdir / "ready.json").rename(workdir / "record.json")


if __name__ == "__main__":
    main()
