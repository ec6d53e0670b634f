"""What every command does before it begins."""

import os
import subprocess
import sys

import pytest

_SCRIPT = """
import os
from benchmarks.machine import startup
print(os.getpid(), os.environ.get("GLIBC_TUNABLES"), flush=True)
startup.restart_with_allocator()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator is glibc's")
def test_a_command_starts_itself_again_with_the_allocator_settings_once():
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    (pid, before), (again, after) = (line.split() for line in done.stdout.splitlines())
    assert pid == again
    assert before == "None"
    assert "glibc.malloc.hugetlb=1" in after


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [
        *(
            f"benchmarks.{name}"
            for name in ("calibrate", "compress", "convolutions", "evaluate", "explain")
        ),
        *(f"benchmarks.{name}" for name in ("export", "recognize", "reproduce", "suite")),
        *(f"benchmarks.{name}" for name in ("throughput", "train", "tune")),
        *(f"results.{name}" for name in ("claims", "compare", "confusions", "leaderboard")),
        *("input_pipeline.prepare", "input_pipeline.preview"),
        *("models.pretrained", "models.summary"),
    ],
)
def test_every_command_starts_and_tells_what_it_does(command, module):
    done = command(module, "--help")
    assert done.returncode == 0, done.stderr
    assert module.rpartition(".")[2] in done.stdout
    assert "Traceback" not in done.stderr
