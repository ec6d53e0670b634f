"""What a suite spends beside training, of its records and its whole time."""

from types import SimpleNamespace

import pytest

from benchmarks.throughput import start_speed, tables
from results import records


def record(name: str, started: str, **seconds: float) -> SimpleNamespace:
    return SimpleNamespace(
        model=records.Model(name, {}, 32, 10),
        started_at=started,
        timings=records.Timings(**{f"{part}_seconds": each for part, each in seconds.items()}),
    )


@pytest.fixture
def made():
    earlier, later = "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00"
    first = record("b", earlier, train=10, compile=4, evaluation=2, total=19)
    return [record("a", later, train=20, compile=5, evaluation=1, total=27), first]


def test_every_second_that_is_not_trained_is_in_one_row(made):
    *runs, between, everything = start_speed.rows("empty", made, 50.0)
    parts = [
        (row.model, row.compile_seconds, row.evaluation_seconds, row.rest_seconds, row.seconds)
        for row in runs
    ]
    assert parts == [("b", 4, 2, 3, 9), ("a", 5, 1, 1, 7)]
    assert (between.model, between.seconds) == ("between runs", 50 - 19 - 27)
    assert (everything.compile_seconds, everything.evaluation_seconds) == (9, 3)
    assert everything.seconds == 50 - 30 == between.seconds + 9 + 7


def test_what_is_between_runs_has_no_parts(made, capsys):
    tables.print_table(start_speed.rows("warm", made, 50.0))
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "between" in line)
    assert line.split()[-1] == "4.0"


def test_the_suite_has_a_cache_of_its_own_and_the_given_models(tmp_path, monkeypatch):
    commands = []

    def run(command, env, **_):
        commands.append((command, env["JAX_COMPILATION_CACHE_DIR"]))
        return type("Ended", (), {"returncode": 1})

    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    monkeypatch.setattr(start_speed.subprocess, "run", run)
    with pytest.raises(start_speed.UserError, match="exit status 1"):
        next(start_speed.measure(["resnet50", "vgg16"]))
    ((command, cache),) = commands
    assert "--models=resnet50,vgg16" in command
    assert cache != "mine"
