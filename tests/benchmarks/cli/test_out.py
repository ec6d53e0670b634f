"""An --out that cannot be written is found before the work."""

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ("benchmarks.evaluate", "--workdir={run}", "--out=/dev/null/out.json"),
        ("benchmarks.explain", "--workdir={run}", "--out=/dev/null/out"),
        ("benchmarks.export", "--workdir={run}", "--out=/dev/null/out.stablehlo"),
        ("benchmarks.reproduce", "{run}/record.json", "--out=/dev/null/out.json"),
        ("benchmarks.throughput", "--models=tiny", "--out=/dev/null/out.csv"),
    ],
)
def test_an_output_that_cannot_be_written_is_told_before_the_work(
    command_here, short_run, arguments, monkeypatch
):
    def work(*_, **__):
        raise AssertionError("the work began")

    monkeypatch.setattr("benchmarks.inference.trained_model.from_run", work)
    monkeypatch.setattr("benchmarks.steps.compile.compile_program", work)
    done = command_here(*(each.format(run=short_run[0]) for each in arguments))
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: --out=/dev/null/out")
    assert "cannot be written: Not a directory." in done.stderr
