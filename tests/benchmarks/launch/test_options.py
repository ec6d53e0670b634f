"""The flags of commands that launch runs."""

import sys

import pytest

_DIGITS = "--config=benchmarks/configs/digits.py"


@pytest.mark.parametrize("command", ["suite", "tune"])
def test_flags_of_ray_are_refused_without_it(command_here, tmp_path, command):
    trials = ("--trials=1",) if command == "tune" else ()
    for flag in ("--ray_address=auto", "--run_devices=1", "--run_hosts=2"):
        done = command_here(
            f"benchmarks.{command}", _DIGITS, f"--workdir={tmp_path / 'w'}", *trials, flag
        )
        name = flag.partition("=")[0]
        assert (done.returncode, done.stderr) == (2, f"error: {name} goes with --launcher=ray.\n")
    assert not (tmp_path / "w").exists()


def test_without_ray_its_launcher_says_how_to_install_it(command_here, tmp_path, monkeypatch):
    for name in ("ray_cluster", "ray_attempt", "ray_tasks"):
        monkeypatch.delitem(sys.modules, f"benchmarks.launch.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    done = command_here(
        "benchmarks.suite", _DIGITS, f"--workdir={tmp_path / 'w'}", "--launcher=ray"
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "needs Ray, which is not installed: pip install -e '.[cluster]'" in done.stderr
    assert not (tmp_path / "w").exists()
