"""Trained and imported weights give the figures of the run's own record, on any split and at any batch size."""

import json
import shutil

import pytest
from flax import nnx

import models
from benchmarks.config import stored
from benchmarks.config.setup import set_up
from benchmarks.errors import CheckpointError, ConfigError
from benchmarks.evaluate import report
from benchmarks.evaluate.run import evaluate_run, evaluate_weights
from benchmarks.steps.abstract import split_configured
from benchmarks.weights.stored import load_weights
from models import pretrained
from results import records


@pytest.fixture(scope="module")
def trained(short_run):
    """(folder, record) of a short run of `tiny` on digits."""
    return short_run


@pytest.fixture(scope="module")
def weights(trained, tmp_path_factory):
    """The same weights as a file with torchvision's names."""
    folder, _ = trained
    model = models.create("tiny", 10)
    _, params, batch_stats = split_configured(
        set_up(stored.load(folder / "record.json"), 10), model
    )
    params, batch_stats = load_weights(folder, params, batch_stats)
    nnx.update(model, params)
    nnx.update(model, batch_stats)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    pretrained.save(model, path)
    return path


def figures(evaluation: report.Evaluation) -> dict[str, float]:
    return dict(evaluation.metrics)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_run_is_evaluated_as_its_record_says(trained, split):
    folder, record = trained
    assert figures(evaluate_run(folder, split)) == getattr(record.metrics, split)


def test_the_batch_size_changes_nothing(trained):
    folder, record = trained
    evaluation = evaluate_run(folder, eval_batch_size=7)
    assert evaluation.metrics["examples"] == 360
    assert evaluation.metrics["top1"] == record.metrics.test["top1"]
    assert evaluation.metrics["loss"] == pytest.approx(record.metrics.test["loss"], rel=1e-5)


def test_a_file_of_the_same_weights_gives_the_same_figures(trained, weights, data_dir):
    evaluation = evaluate_weights(
        "tiny", weights, "digits", "test", data_dir=data_dir, image_size="32", crop_fraction=1.0
    )
    assert figures(evaluation) == trained[1].metrics.test
    assert evaluation.image_size == 32


def test_weights_that_are_not_the_records_are_refused(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained[0], folder)
    record = records.read(folder / "record.json")
    stranger = {**json.loads((folder / "record.json").read_text()), "weights_digest": "0" * 64}
    (folder / "record.json").write_text(json.dumps(stranger))
    assert record.weights_digest != "0" * 64
    with pytest.raises(ConfigError, match="are not those of its record"):
        evaluate_run(folder)
    shutil.rmtree(folder / "weights")
    with pytest.raises(CheckpointError, match="cannot be read"):
        evaluate_run(folder)


def test_a_dataset_of_other_classes_is_refused(trained):
    with pytest.raises(ConfigError, match="tells 10 classes apart and synthetic has"):
        evaluate_run(trained[0], "test", dataset="synthetic")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say --workdir, or --model and --weights"),
        (["--workdir=nowhere"], "no completed run in nowhere"),
        (["--model=tiny", "--weights=nothing.pth"], "there is no file nothing.pth"),
        (["--model=tinny", "--weights=nothing.pth"], "there is no model 'tinny'"),
    ],
)
def test_a_mistake_is_one_sentence(command_here, arguments, message):
    ended = command_here("benchmarks.evaluate", *arguments)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_the_command_prints_and_writes_the_figures(command_here, trained, tmp_path):
    folder, record = trained
    out = tmp_path / "figures.json"
    ended = command_here(
        "benchmarks.evaluate", f"--workdir={folder}", "--split=validation", f"--out={out}"
    )
    assert ended.returncode == 0, ended.stderr
    assert f"top-1 {record.metrics.validation['top1']:.3%}" in ended.stdout
    assert json.loads(out.read_text())["metrics"] == record.metrics.validation


def test_ten_crops_are_evaluated_together(trained):
    folder, record = trained
    evaluation = evaluate_run(folder, eval_crops=10, crop_fraction=0.875)
    assert (evaluation.crops, evaluation.metrics["examples"]) == (10, 360)
    assert evaluation.metrics["loss"] != pytest.approx(record.metrics.test["loss"], rel=1e-3)
