"""The list of commands, and that every command is on it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from isobudget import __main__ as commands

_ROOT = Path(__file__).parents[2]


def test_every_command_of_every_package_is_listed():
    files = [
        path.relative_to(_ROOT)
        for package in ("benchmarks", "results", "models", "input_pipeline")
        for path in (_ROOT / package).rglob("*.py")
        if re.search(r"^if __name__ == \"__main__\":", path.read_text(), re.MULTILINE)
    ]
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__main__") for path in files}
    # One lists the commands, one writes a page of the docs, one is the process that reads files of Keras's, one stands
    # in for a training where launching is measured, one is the process that the next run begins in, one is the process
    # that `results.audit` asks about models, two are the processes that are timed in turns, one is the process
    # that measures a model alone, and one is the process that compiles a step of a plan.
    modules -= {"benchmarks", "results.column_docs", "models.weight_files.keras_program"}
    modules -= {"benchmarks.launch.stand_in", "benchmarks.launch.spare", "benchmarks.audit"}
    modules -= {"benchmarks.plan.compiler"}
    modules -= {
        f"benchmarks.throughput.{name}" for name in ("alone_child", "own_child", "torch_child")
    }
    assert {module for module, _ in commands.COMMANDS.values()} == modules


@pytest.mark.parametrize("module", ["isobudget", "benchmarks"])
def test_without_a_command_all_are_listed_with_a_line_each(module):
    done = subprocess.run(
        [sys.executable, "-m", module], capture_output=True, text=True, cwd=_ROOT, check=True
    )
    for name, (_, line) in commands.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_an_unknown_command_is_one_sentence_with_the_nearest(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["isobudget", "siute"])
    assert commands.main() == 2
    assert capsys.readouterr().err == "error: there is no command 'siute': did you mean suite?\n"


def test_a_command_gets_its_flags_and_answers_help_under_its_short_name():
    done = subprocess.run(
        [sys.executable, "-m", "isobudget", "summary", "squeezenet1_1", "--num_classes=10"],
        *(),
        capture_output=True,
        text=True,
        cwd=_ROOT,
        check=True,
    )
    assert "squeezenet1_1 at 224x224, 10 classes" in done.stdout
    assert "727,626" in done.stdout
