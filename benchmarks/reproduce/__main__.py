"""Runs a row of a table again from its record, and says whether the same comes out.

    python -m benchmarks.reproduce runs/digits/runs/squeezenet1_1-seed0/record.json
    python -m benchmarks.reproduce RECORD.json --steps=50

Nothing is checked out or installed: the command says how software, code, hardware and data differ from the record's,
and runs it in a folder of its own. With `--steps=N` it stops after the first N steps, which follow the whole run's
schedule, and compares what was logged on the way with the `metrics.jsonl` beside the record.

It ends as `bit-identical` or `within the seeds' interval` (exit status 0) or as `different` (1); docs/reproducing.md
says what that means.
"""

import dataclasses
import json
import sys
from pathlib import Path

from absl import flags

from benchmarks.cli import command
from benchmarks.errors import ConfigError
from benchmarks.machine import preemption, startup
from benchmarks.reproduce import comparison
from benchmarks.reproduce.run import reproduce
from isobudget import paths
from results.records import files


def define_flags() -> None:
    flags.DEFINE_integer(
        "steps",
        None,
        "Stop after this many steps of the run and compare what was logged up to there. By default the whole run is "
        "repeated.",
    )
    flags.DEFINE_string(
        "workdir",
        None,
        "The folder to run in, which is kept. By default a temporary one, which is removed at the end.",
    )
    flags.DEFINE_string(
        "data_dir",
        None,
        "The directory of prepared datasets on this machine. By default the one that the record names.",
    )
    flags.DEFINE_string(
        "out", None, "A JSON file to write the comparison to. By default it is only printed."
    )


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        raise ConfigError("name one record: python -m benchmarks.reproduce RECORD.json.")
    startup.restart_with_allocator()
    startup.use_compilation_cache()
    given = flags.FLAGS
    if given.out:
        paths.check_writable(given.out)
    try:
        compared = reproduce(
            arguments[0],
            steps=given.steps,
            workdir=given.workdir,
            data_dir=given.data_dir,
            tell=lambda difference: print(difference, flush=True),
        )
    except preemption.PreemptedError as stopped:
        print(stopped, file=sys.stderr)
        return preemption.AGAIN_STATUS
    if not compared.differences:
        print("software, code, hardware and data are those of the record")
    print(comparison.describe(compared))
    if given.out:
        files.write_atomically(
            Path(given.out), json.dumps(dataclasses.asdict(compared), indent=2) + "\n"
        )
    return int(compared.verdict == comparison.DIFFERENT)


if __name__ == "__main__":
    command.run(main, define_flags, takes_arguments=True)
