"""One run from configuration to record, in this process."""

import json
import os
import signal

import jax
import numpy as np
import pytest
from PIL import Image

import models
from benchmarks.cli import progress
from benchmarks.config import stored
from benchmarks.config.setup import set_up
from benchmarks.errors import ConfigError
from benchmarks.machine import mesh as devices
from benchmarks.machine import preemption
from benchmarks.reproduce import comparison, reproduce
from benchmarks.runs import pace
from benchmarks.steps.abstract import abstract_state
from benchmarks.steps.compile import compile_program
from benchmarks.train import loop, opening
from benchmarks.train.run import train_and_evaluate
from benchmarks.weights.stored import load_weights, weights_digest
from results import records
from results.records import settings


class Stop(KeyboardInterrupt):
    """What a user who presses Ctrl-C raises."""


class StopsAt(progress.JsonLines):
    """Stops the run once it has reported a step."""

    def __init__(self, step: int):
        self.step = step

    def report(self, event):
        if event.phase == "training" and event.step >= self.step:
            raise Stop


def checkpointed(workdir) -> list[int]:
    """The steps of the checkpoints that are whole and sealed."""
    return sorted(int(path.stem) for path in (workdir / "checkpoint_digests").glob("*.json"))


def test_a_run_ends_in_a_record_that_says_what_was_spent_and_reached(config, tmp_path):
    record = train_and_evaluate(config, tmp_path / "one")
    assert record == records.read(tmp_path / "one" / "record.json")
    assert record.status == "completed"
    assert record.run_id == "one"
    assert (record.dataset.name, record.dataset.version) == ("digits", "1.0.0")
    assert (record.budget.steps, record.budget.examples_spent) == (12, 384)
    assert record.budget.train_flops_spent == 6 * record.model.macs * 384
    assert record.model.parameters == 3 * 9 * 8 + 8 + 2 * 8 + 8 * 8 * 8 * 10 + 10
    assert record.metrics.test["examples"] == 360
    assert record.metrics.validation["examples"] == 180
    assert record.metrics.test["top1"] > 0.5
    assert len(record.weights_digest) == 64
    assert record.config["budget"] == {"kind": "examples", "amount": 384.0}


def test_metrics_are_written_for_every_interval_with_the_step(config, tmp_path):
    train_and_evaluate(config, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    training = [line["step"] for line in lines if "train/loss" in line]
    assert training == sorted(set(training))
    assert training[-1] == 12
    assert {"validation/top1", "test/top1"} <= {name for line in lines for name in line}
    seconds = [line["train_seconds"] for line in lines if "train/loss" in line]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_validation_on_the_way_is_written_and_changes_no_bit(config, tmp_path):
    plain = train_and_evaluate(config, tmp_path / "plain")
    config.validate_every_steps = 4
    record = train_and_evaluate(config, tmp_path / "validated")
    assert record.weights_digest == plain.weights_digest
    lines = [json.loads(line) for line in (tmp_path / "validated" / "metrics.jsonl").open()]
    top1_by_step = {
        line["step"]: line["validation/top1"] for line in lines if "validation/top1" in line
    }
    assert list(top1_by_step) == [4, 8, 12]
    assert top1_by_step[12] == record.metrics.validation["top1"]


def test_a_record_tells_what_the_model_costs(config, tmp_path):
    record = train_and_evaluate(config, tmp_path)
    assert record.model.activations == 8 * 8 * 8 + 10
    assert record.model.weight_bytes == 4 * (record.model.parameters + 2 * 8)
    assert 0 < record.throughput.infer_latency_p50_ms <= record.throughput.infer_latency_p99_ms
    assert record.peak_memory_bytes > 1e7
    assert 0 <= record.metrics.test["ece"] <= 1


def test_what_was_predicted_is_kept_for_each_example(config, tmp_path):
    record = train_and_evaluate(config, tmp_path)
    kept = np.load(tmp_path / "predictions" / "test.npz")
    np.testing.assert_array_equal(kept["index"], np.arange(360))
    assert np.mean(kept["predicted"] == kept["label"]) == record.metrics.test["top1"]


def test_the_saved_weights_are_those_of_the_digest(config, tmp_path):
    record = train_and_evaluate(config, tmp_path)
    mesh = devices.create_mesh()
    state = abstract_state(set_up(config, 10), mesh)
    weights = load_weights(tmp_path, state["params"], state["batch_stats"])
    assert weights_digest(*weights) == record.weights_digest
    assert not (tmp_path / "checkpoints").exists()


def test_two_runs_of_one_configuration_are_bit_identical_and_seeds_differ(config, tmp_path):
    first = train_and_evaluate(config, tmp_path / "a")
    again = train_and_evaluate(config, tmp_path / "b")
    assert first.weights_digest == again.weights_digest
    assert first.metrics == again.metrics
    config.seed = 1
    other = train_and_evaluate(config, tmp_path / "c")
    assert other.weights_digest != first.weights_digest


def test_a_stopped_run_resumes_to_the_same_bits(config, tmp_path):
    whole = train_and_evaluate(config, tmp_path / "whole")
    with pytest.raises(Stop):
        train_and_evaluate(config, tmp_path / "stopped", reporter=StopsAt(8))
    assert not (tmp_path / "stopped" / "record.json").exists()
    assert checkpointed(tmp_path / "stopped") == [5]
    resumed = train_and_evaluate(config, tmp_path / "stopped")
    assert resumed.weights_digest == whole.weights_digest
    assert resumed.metrics == whole.metrics
    steps = [json.loads(line)["step"] for line in (tmp_path / "stopped" / "metrics.jsonl").open()]
    assert steps == sorted(steps)


def test_a_completed_run_is_not_run_again(config, tmp_path):
    first = train_and_evaluate(config, tmp_path)
    assert train_and_evaluate(config, tmp_path, reporter=StopsAt(0)) == first


def test_a_folder_of_another_configuration_is_left_alone(config, tmp_path):
    train_and_evaluate(config, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.json")}
    config.batch_size = 16
    with pytest.raises(
        ConfigError, match="belongs to another configuration: batch_size is 32 there"
    ):
        train_and_evaluate(config, tmp_path)
    assert before == {path: path.read_bytes() for path in tmp_path.glob("*.json")}


def test_nan_ends_a_run_as_diverged_with_its_first_step(config, tmp_path):
    config.model = "tiny:fault=nan"
    record = train_and_evaluate(config, tmp_path)
    assert record.status == "diverged"
    assert record.failure.step == 1
    assert not np.isfinite(record.failure.loss)
    assert record.model.parameters > 0
    assert record.hardware["platform"] == jax.default_backend()


def test_running_out_of_memory_is_told_from_other_failures(config, tmp_path):
    config.update({"model": "tiny:fault=memory", "batch_size": 24})  # parts of 3 are the smallest
    assert train_and_evaluate(config, tmp_path / "a").status == "out_of_memory"
    config.model = "tiny:fault=raises"
    record = train_and_evaluate(config, tmp_path / "b")
    assert record.status == "failed"
    assert record.error == "RuntimeError: this model always raises"


def test_bfloat16_computes_in_it_and_keeps_weights_in_float32(config, tmp_path):
    config.dtype = "bfloat16"
    mesh = devices.create_mesh()
    state = abstract_state(set_up(config, 10), mesh)
    assert {leaf.dtype for leaf in jax.tree.leaves(state["params"])} == {np.dtype("float32")}
    compiled = compile_program(set_up(config, 10), mesh)
    assert "bf16" in compiled.train_steps[32].as_text()
    record = train_and_evaluate(config, tmp_path)
    assert record.metrics.test["top1"] > 0.5


def test_sgd_learns_too(config, tmp_path):
    config.optimizer.name, config.optimizer.learning_rate = "sgd", 0.3
    assert train_and_evaluate(config, tmp_path).metrics.test["top1"] > 0.5


def test_a_record_is_a_configuration_to_run_again(config, tmp_path):
    first = train_and_evaluate(config, tmp_path / "a")
    loaded = stored.load(tmp_path / "a" / "record.json")
    again = train_and_evaluate(loaded, tmp_path / "b")
    assert again.weights_digest == first.weights_digest


@pytest.fixture
def folder(tmp_path):
    """Pictures of two classes, of which one of the 40 to train on is no picture."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 5)):
        for name in ("one", "two"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                picture = rng.integers(0, 256, (32, 32, 3), np.uint8)
                Image.fromarray(picture).save(tmp_path / split / name / f"{number}.png")
    (tmp_path / "train" / "one" / "7.png").write_bytes(b"junk")
    return f"folder:{tmp_path}"


def test_examples_that_cannot_be_read_are_counted_in_the_record(config, folder, tmp_path):
    config.update({"dataset": folder, "validation_split": "", "max_unreadable_fraction": 0.05})
    record = train_and_evaluate(config, tmp_path / "run")
    assert record.status == "completed"
    assert record.unreadable_examples == {"train": 1, "test": 0}


def test_too_many_of_them_fail_the_run_in_one_sentence(config, folder, tmp_path, capfd):
    config.update({"dataset": folder, "validation_split": ""})
    record = train_and_evaluate(config, tmp_path / "run")
    assert record.status == "failed"
    assert "1 of the 40 examples of folder:" in record.error
    assert "7.png is not a picture" in record.error
    assert "Traceback" not in capfd.readouterr().err


def test_where_memory_runs_out_the_batch_is_worked_on_in_parts(config, tmp_path):
    config.model = "tiny:fault=memory_above_8"
    record = train_and_evaluate(config, tmp_path)
    assert record.status == "completed"
    assert (record.remat, record.accumulation) == (True, 4)  # 32 in parts of 8
    assert record.budget.examples_spent == 384


def test_what_changes_no_result_is_tried_first_where_memory_runs_out(
    config, tmp_path, monkeypatch, capfd
):
    plain = train_and_evaluate(config, tmp_path / "plain")
    assert (plain.remat, plain.accumulation) == (False, 1)
    compile_all = opening.compile_program

    def compile_within_memory(setup, mesh, saving, positive_weights, **cached):
        if not saving.remat:
            raise MemoryError
        return compile_all(setup, mesh, saving, positive_weights, **cached)

    monkeypatch.setattr(opening, "compile_program", compile_within_memory)
    record = train_and_evaluate(config, tmp_path / "saving")
    assert (record.status, record.remat, record.accumulation) == ("completed", True, 1)
    assert record.metrics.test["loss"] == pytest.approx(plain.metrics.test["loss"], rel=1e-4)
    assert "out of memory; keeping the outputs of stages alone" in capfd.readouterr().err
    assert settings.of_group(record) == settings.of_group(plain)
    monkeypatch.undo()
    again = reproduce(records.path_in(tmp_path / "saving"))
    assert again.verdict == comparison.IDENTICAL


@pytest.mark.parametrize(
    ("kind", "amount", "steps"), [("epochs", 0.255, 10), ("flops", None, 7), ("examples", 384, 12)]
)
def test_a_budget_of_any_kind_is_spent_and_told(config, tmp_path, kind, amount, steps):
    # One step of tiny is 6 FLOPs for each of its multiply-accumulates and each of 32 images.
    a_step = 6 * 32 * (8 * 8 * 9 * 3 * 8 + 8 * 8 * 8 * 10)
    config.budget.kind, config.budget.amount = kind, float(amount or 7.5 * a_step)
    record = train_and_evaluate(config, tmp_path)
    assert (record.budget.kind, record.budget.steps) == (kind, steps)
    assert record.budget.examples_spent == 32 * steps
    assert record.budget.train_flops_spent == steps * a_step


def test_seconds_are_spent_to_the_step_and_their_course_is_repeated_bit_by_bit(config, tmp_path):
    config.budget.kind, config.budget.amount = "seconds", 0.5
    record = train_and_evaluate(config, tmp_path / "run")
    assert record.budget.steps == pace.read(tmp_path / "run")[-1].step + 1
    assert record.budget.train_seconds_spent >= 0.5
    again = reproduce(records.path_in(tmp_path / "run"), workdir=tmp_path / "again")
    assert again.verdict == comparison.IDENTICAL
    assert pace.read(tmp_path / "again") == pace.read(tmp_path / "run")


def test_a_resumed_run_goes_on_spending_its_seconds(config, tmp_path):
    config.budget.kind, config.budget.amount = "seconds", 0.5
    config.update({"checkpoint_every_steps": 5, "progressive_sizes": (32, 32)})
    with pytest.raises(Stop):
        train_and_evaluate(config, tmp_path, reporter=StopsAt(8))
    newest = max(checkpointed(tmp_path))
    before = [look for look in pace.read(tmp_path) if look.step < newest]
    record = train_and_evaluate(config, tmp_path)
    looks = pace.read(tmp_path)
    assert looks[: len(before)] == before
    assert newest in [look.step for look in looks]
    assert record.budget.train_seconds_spent >= 0.5
    assert reproduce(records.path_in(tmp_path)).verdict == comparison.IDENTICAL


def test_a_damaged_checkpoint_is_left_for_the_one_before_it(config, tmp_path, capfd):
    whole = train_and_evaluate(config, tmp_path / "whole")
    with pytest.raises(Stop):
        train_and_evaluate(config, tmp_path / "run", reporter=StopsAt(12))
    assert checkpointed(tmp_path / "run") == [5, 10]
    # The largest file of the newest one: one byte flipped.
    folder = tmp_path / "run" / "checkpoints" / "10"
    victim = max(
        (each for each in folder.rglob("*") if each.is_file()), key=lambda f: f.stat().st_size
    )
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    capfd.readouterr()
    record = train_and_evaluate(config, tmp_path / "run")
    assert "warning: the checkpoint of step 10 is damaged" in capfd.readouterr().err
    assert record.weights_digest == whole.weights_digest


def test_a_truncated_or_unsealed_checkpoint_is_left_too(config, tmp_path, capfd):
    whole = train_and_evaluate(config, tmp_path / "whole")
    with pytest.raises(Stop):
        train_and_evaluate(config, tmp_path / "run", reporter=StopsAt(12))
    folder = tmp_path / "run" / "checkpoints" / "10"
    victim = max(
        (each for each in folder.rglob("*") if each.is_file()), key=lambda f: f.stat().st_size
    )
    victim.write_bytes(victim.read_bytes()[:-7])
    (tmp_path / "run" / "checkpoint_digests" / "5.json").unlink()
    record = train_and_evaluate(config, tmp_path / "run")
    told = capfd.readouterr().err
    assert "step 10 is damaged" in told
    assert "step 5 was not finished" in told
    assert record.weights_digest == whole.weights_digest


@pytest.mark.parametrize("told_by", [signal.SIGTERM, signal.SIGINT])
def test_told_to_go_a_run_saves_at_once_and_says_that_it_will_go_on(config, tmp_path, told_by):
    whole = train_and_evaluate(config, tmp_path / "whole")

    class Terminates(progress.JsonLines):
        told = False  # told twice, a process ends at once

        def report(self, event):
            if event.phase == "training" and event.step >= 6 and not self.told:
                self.told = True
                os.kill(os.getpid(), told_by)

    before = signal.getsignal(signal.SIGINT)  # ignored, where the tests run in the background
    with pytest.raises(preemption.PreemptedError) as stopped:
        train_and_evaluate(config, tmp_path / "run", reporter=Terminates())
    assert stopped.value.step not in (5, 10)
    assert stopped.value.step in checkpointed(tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before
    record = train_and_evaluate(config, tmp_path / "run")
    assert record.weights_digest == whole.weights_digest


def test_nothing_is_moved_between_host_and_device_unasked(config, tmp_path, monkeypatch):
    loop_train = loop.train

    def guarded(*arguments, **options):
        with jax.transfer_guard("disallow"):
            return loop_train(*arguments, **options)

    monkeypatch.setattr(loop, "train", guarded)
    assert train_and_evaluate(config, tmp_path).status == "completed"


def test_sizes_may_grow_in_the_course_of_a_run(config, tmp_path):
    config.model, config.image_size = "tiny:pooled=true", "48"
    config.progressive_sizes = (32,)
    config.eval_image_size = "64"
    record = train_and_evaluate(config, tmp_path)
    assert record.status == "completed"
    macs = [models.count_macs(config.model, side, num_classes=10) for side in (32, 48)]
    assert record.budget.train_flops_spent == 6 * 384 * round(sum(macs) / 2)


def test_a_profile_is_written_where_it_is_asked_for(config, tmp_path):
    train_and_evaluate(config, tmp_path, profile_steps=(3, 5))
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
