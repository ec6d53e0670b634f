"""Where a run's files lie: what one module writes, the others find."""

from pathlib import Path

from results import records
from results.records import layout


def test_the_record_of_a_run_lies_in_its_folder():
    folder = layout.run_folder("suite", "resnet18-seed0")
    assert folder == Path("suite/runs/resnet18-seed0")
    assert records.record_path("suite", "resnet18-seed0") == records.path_in(folder)
    assert records.path_in("run") == Path("run") / records.FILE_NAME == Path("run/record.json")


def test_files_beside_the_record_have_the_names_that_published_runs_use():
    assert layout.metrics_in("run") == Path("run/metrics.jsonl")
    assert layout.class_names_in("run") == Path("run/class_names.json")
    assert layout.predictions_in("run", "test") == Path("run/predictions/test.npz")
    assert layout.evaluations_in("run") == Path("run/evaluations")
    assert layout.mistakes_in("run") == (
        Path("run/predictions/mistakes.png"),
        Path("run/predictions/mistakes.json"),
    )
