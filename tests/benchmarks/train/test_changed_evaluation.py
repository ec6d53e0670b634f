"""Fields that touch evaluation alone may change when training is over or under way: the training is kept."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from benchmarks.calibrate import calibrate
from benchmarks.cli import progress
from benchmarks.config import checks, default_config
from benchmarks.config.fields import EVALUATION_FIELDS
from benchmarks.errors import ConfigError
from benchmarks.reproduce.run import reproduce
from benchmarks.train import train_and_evaluate
from results import records


class Stop(KeyboardInterrupt):
    """What a user who presses Ctrl-C raises."""


class Trains(progress.JsonLines):
    """Remembers the steps that were trained, and may stop the run after one."""

    def __init__(self, stop_at: float = float("inf")):
        self.steps: list[int] = []
        self._stop_at = stop_at

    def report(self, event):
        if event.phase == "training":
            self.steps.append(event.step)
            if event.step >= self._stop_at:
                raise Stop


def logged(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").open()]


def test_the_fields_are_fields():
    for field in EVALUATION_FIELDS:
        assert checks.value_of(default_config(), field) is not None


def test_a_finished_training_is_kept_and_evaluated_as_if_it_had_been_so_from_the_start(
    config, copied_run, tmp_path, capfd
):
    before = records.read(copied_run / "record.json")
    predicted = (copied_run / "predictions" / "test.npz").read_bytes()
    config.crop_fraction, config.eval_batch_size = 0.5, 50
    trains = Trains()
    after = train_and_evaluate(config, copied_run, reporter=trains)
    told = capfd.readouterr().err
    assert trains.steps == []
    fresh = train_and_evaluate(config, tmp_path / "fresh")
    assert after.metrics == fresh.metrics != before.metrics
    assert after.weights_digest == fresh.weights_digest == before.weights_digest
    assert after.config == fresh.config
    assert (after.budget, after.started_at) == (before.budget, before.started_at)
    assert after.timings.train_seconds == before.timings.train_seconds
    assert after == records.read(copied_run / "record.json")
    assert "crop_fraction was 1.0 and is 0.5 now, eval_batch_size was 64 and is 50 now" in told
    assert f"what was evaluated before is in {copied_run / 'earlier' / '1'}." in told
    kept = copied_run / "earlier" / "1"
    assert records.read(kept / "record.json") == before
    assert (kept / "predictions" / "test.npz").read_bytes() == predicted
    assert json.loads((kept / "config.json").read_text())["crop_fraction"] == 1.0
    assert (copied_run / "predictions" / "test.npz").exists()
    of_the_end = [line for line in logged(copied_run) if "test/top1" in line]
    assert [line["test/top1"] for line in of_the_end] == [after.metrics.test["top1"]]
    assert not (copied_run / "training.json").exists()


def test_what_was_evaluated_before_is_no_run_of_its_own_and_changing_back_keeps_both(
    config, copied_run
):
    first = records.read(copied_run / "record.json")
    config.eval_crops = 10
    train_and_evaluate(config, copied_run)
    config.eval_crops = 1
    again = train_and_evaluate(config, copied_run)
    assert again.metrics == first.metrics
    assert sorted(path.name for path in (copied_run / "earlier").iterdir()) == ["1", "2"]
    assert records.find([copied_run]) == [copied_run / "record.json"]
    assert train_and_evaluate(config, copied_run, reporter=Trains(0)) == again


def test_the_new_record_reproduces_to_the_bit(config, copied_run):
    config.interpolation = "bicubic"
    after = train_and_evaluate(config, copied_run)
    compared = reproduce(copied_run / "record.json")
    assert compared.verdict == "bit-identical"
    assert {there == here for there, here in compared.metrics.values()} == {True}
    assert after.config["interpolation"] == "bicubic"


def test_a_training_under_way_goes_on(config, short_run, tmp_path, capfd):
    config.validate_every_steps = 3
    with pytest.raises(Stop):
        train_and_evaluate(config, tmp_path / "run", reporter=Trains(stop_at=8))
    config.crop_fraction = 0.5
    trains = Trains()
    record = train_and_evaluate(config, tmp_path / "run", reporter=trains)
    assert min(trains.steps) > 5
    assert record.weights_digest == short_run[1].weights_digest
    assert "the training is kept and goes on" in capfd.readouterr().err
    earlier = {line["step"] for line in logged(tmp_path / "run") if "validation/top1" in line}
    assert earlier == {6, 9, 12}  # step 3 was evaluated otherwise


def test_a_field_that_touches_training_is_refused_as_before(config, copied_run):
    before = {path: path.read_bytes() for path in copied_run.glob("*.json")}
    config.crop_fraction, config.max_pixels = 0.5, 10**6
    with pytest.raises(ConfigError, match="another configuration: max_pixels is 178956970 there"):
        train_and_evaluate(config, copied_run)
    assert before == {path: path.read_bytes() for path in copied_run.glob("*.json")}
    assert not (copied_run / "earlier").exists()


def test_without_its_weights_nothing_is_touched(config, copied_run):
    shutil.rmtree(copied_run / "weights")
    before = (copied_run / "record.json").read_bytes()
    config.crop_fraction = 0.5
    with pytest.raises(
        ConfigError, match=r"crop_fraction is 1\.0 there, 0.5 here; its weights are"
    ):
        train_and_evaluate(config, copied_run)
    assert (copied_run / "record.json").read_bytes() == before


def test_killed_while_earlier_files_were_moved_the_next_call_goes_on(
    config, copied_run, monkeypatch
):
    before = records.read(copied_run / "record.json")
    config.crop_fraction = 0.5
    with monkeypatch.context() as patched:
        patched.setattr("benchmarks.runs.claim.shutil.copy2", _raise_stop)
        with pytest.raises(Stop):
            train_and_evaluate(config, copied_run)
    trains = Trains()
    after = train_and_evaluate(config, copied_run, reporter=trains)
    assert trains.steps == []
    assert after.weights_digest == before.weights_digest
    assert records.read(copied_run / "earlier" / "1" / "record.json") == before
    assert not (copied_run / "earlier" / "2").exists()


def _raise_stop(*arguments):
    raise Stop


@pytest.fixture
def pictures(tmp_path):
    """Pictures of two classes, of whose test split the last cannot be read."""
    chance = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        for label in ("a", "b"):
            directory = tmp_path / "pictures" / split / label
            directory.mkdir(parents=True)
            for index in range(4 if split != "test" else 100):
                picture = chance.integers(0, 256, (32, 32, 3), np.uint8)
                Image.fromarray(picture).save(directory / f"{index}.png")
    (tmp_path / "pictures" / "test" / "b" / "99.png").write_bytes(b"no picture")
    return tmp_path / "pictures"


def test_an_evaluation_that_failed_costs_no_training(config, pictures, tmp_path):
    config.dataset, config.batch_size, config.eval_batch_size = f"folder:{pictures}", 4, 4
    failed = train_and_evaluate(config, tmp_path / "run", reporter=(first := Trains()))
    assert failed.status == "failed"
    assert first.steps[-1] == failed.budget.steps
    again = train_and_evaluate(config, tmp_path / "run", reporter=(second := Trains()))
    assert (again.status, again.error, second.steps) == ("failed", failed.error, [])
    config.test_split = "validation"
    record = train_and_evaluate(config, tmp_path / "run", reporter=second)
    assert (record.status, second.steps) == ("completed", [])
    assert record.dataset.test_split == "validation"
    assert records.read(tmp_path / "run" / "earlier" / "1" / "record.json") == again


def test_weights_that_are_not_those_of_the_training_are_refused(config, copied_run):
    config.seed = 1
    other = copied_run.with_name("other")
    train_and_evaluate(config, other)
    shutil.rmtree(copied_run / "weights")
    shutil.copytree(other / "weights", copied_run / "weights")
    config.seed, config.crop_fraction = 0, 0.5
    record = train_and_evaluate(config, copied_run)
    assert record.status == "failed"
    assert "are not those of its training" in record.error


def test_speeds_are_left_out_on_another_machine_than_the_record_names(
    config, copied_run, monkeypatch, capfd
):
    monkeypatch.setattr("benchmarks.machine.environment.software", lambda: {"python": "4.0"})
    config.crop_fraction = 0.5
    record = train_and_evaluate(config, copied_run)
    assert record.throughput.train_images_per_second > 0
    assert record.throughput.infer_images_per_second is None
    assert record.software["python"] != "4.0"
    assert "its inference speed is not measured" in capfd.readouterr().err


def test_a_budget_of_seconds_is_not_spent_again(config, tmp_path):
    config.budget.kind, config.budget.amount = "seconds", 0.2
    before = train_and_evaluate(config, tmp_path)
    config.crop_fraction = 0.5
    after = train_and_evaluate(config, tmp_path, reporter=(trains := Trains()))
    assert (after.budget, trains.steps) == (before.budget, [])
    assert after.weights_digest == before.weights_digest
    kept = (
        tmp_path / "earlier" / "1" / "progress.jsonl"
    )  # which running the earlier record again needs
    assert kept.read_bytes() == (tmp_path / "progress.jsonl").read_bytes()


def test_a_temperature_stays_with_the_earlier_record(config, copied_run, capfd):
    fitted = calibrate(copied_run).temperature
    config.crop_fraction = 0.5
    assert train_and_evaluate(config, copied_run).decision is None
    assert "Calibrate it again." in capfd.readouterr().err
    earlier = records.read(copied_run / "earlier" / "1" / "record.json")
    assert earlier.decision.temperature == fitted
