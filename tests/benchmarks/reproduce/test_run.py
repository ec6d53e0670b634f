"""A record run again: bit by bit the same, within what other seeds let expect, or different."""

import dataclasses
import json
import shutil

import pytest

from benchmarks.config import derived
from benchmarks.errors import ConfigError
from benchmarks.reproduce import __main__, comparison, reproduce
from benchmarks.train.run import train_and_evaluate
from input_pipeline import DataError
from results import RecordError, records


@pytest.fixture(scope="module")
def suite_dir(make_config, tmp_path_factory):
    """Three seeds of `tiny` in a suite's folder, with their metrics."""
    workdir = tmp_path_factory.mktemp("suite")
    for seed in range(3):
        config = make_config()
        config.seed = seed
        train_and_evaluate(config, workdir / "runs" / derived.run_id(config))
    return workdir


@pytest.fixture
def runs_dir(suite_dir, tmp_path):
    """The test's own copy of the three runs."""
    return shutil.copytree(suite_dir / "runs", tmp_path / "suite" / "runs")


def change(path, **changes):
    records.write(dataclasses.replace(records.read(path), **changes), path)


def everything_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_done_again_is_bit_identical_and_nothing_is_written_beside_it(runs_dir):
    before = everything_in(runs_dir)
    reproduction = reproduce(runs_dir / "tiny-seed0" / "record.json")
    assert reproduction.verdict == comparison.IDENTICAL
    assert reproduction.digests[0] == reproduction.digests[1]
    assert reproduction.metrics["top1"][0] == reproduction.metrics["top1"][1]
    assert reproduction.differences == ()
    assert everything_in(runs_dir) == before


@pytest.fixture
def other_bits(runs_dir):
    """The path of seed 0's record, whose digest was changed, and the record of the run done again."""
    path = runs_dir / "tiny-seed0" / "record.json"
    again = records.read(path)
    change(path, weights_digest="0" * 64)
    return path, again


def compared(path, again):
    return comparison.compare_runs(path, records.read(path), again)


def test_another_digest_is_judged_by_the_interval_of_the_other_seeds(other_bits, runs_dir):
    path, again = other_bits
    score = again.metrics.test["top1"]
    for seed, shift in ((1, -0.01), (2, 0.01)):
        metrics = records.Metrics({}, {"top1": score + shift})
        change(runs_dir / f"tiny-seed{seed}" / "record.json", metrics=metrics)
    reproduction = compared(path, again)
    assert (reproduction.verdict, reproduction.seeds) == (comparison.WITHIN, 2)
    # t(1) = 12.706, and the standard deviation of the two is 0.01 * sqrt(2).
    half_width = 12.7062047 * 0.01 * 2**0.5 * 1.5**0.5
    assert reproduction.interval == pytest.approx((score - half_width, score + half_width))


def test_outside_the_interval_is_different(other_bits, runs_dir):
    for seed in (1, 2):
        metrics = records.Metrics({}, {"top1": 0.1 + seed / 1000})
        change(runs_dir / f"tiny-seed{seed}" / "record.json", metrics=metrics)
    reproduction = compared(*other_bits)
    assert reproduction.verdict == comparison.DIFFERENT
    assert "2 other seeds" in reproduction.reason


def test_one_other_seed_makes_no_interval(other_bits, runs_dir):
    # Another configuration's run is no other seed of this one.
    other = records.read(runs_dir / "tiny-seed2" / "record.json")
    change(runs_dir / "tiny-seed2" / "record.json", config=other.config | {"batch_size": 16})
    reproduction = compared(*other_bits)
    assert (reproduction.verdict, reproduction.seeds, reproduction.interval) == (
        comparison.DIFFERENT,
        1,
        None,
    )


def test_the_first_steps_agree_with_what_was_logged_of_the_whole_run(runs_dir, tmp_path):
    path = runs_dir / "tiny-seed1" / "record.json"
    reproduction = reproduce(path, steps=7, workdir=tmp_path / "kept")
    # Every second step is logged, and step 5, where a checkpoint is written.
    assert (reproduction.verdict, reproduction.reason[-7:]) == (comparison.IDENTICAL, "step 6.")
    lines = [json.loads(line) for line in (tmp_path / "kept" / "metrics.jsonl").open()]
    assert [line["step"] for line in lines] == [2, 4, 5, 6, 7]


def test_a_changed_step_is_reported(runs_dir):
    path = runs_dir / "tiny-seed1" / "metrics.jsonl"
    lines = [json.loads(line) for line in path.open()]
    lines[1]["train/loss"] += 1e-7
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    reproduction = reproduce(path.with_name("record.json"), steps=6)
    assert reproduction.verdict == comparison.DIFFERENT
    assert "steps 3 to 4" in reproduction.reason
    there, here = reproduction.metrics["train/loss"]
    assert there == pytest.approx(here + 1e-7, abs=1e-9)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [(1, "logged nothing before step 2"), (12, "below the 12 steps"), (0, "from 1")],
)
def test_steps_that_cannot_be_compared_are_a_mistake(suite_dir, steps, sentence):
    with pytest.raises(ConfigError, match=sentence):
        reproduce(suite_dir / "runs" / "tiny-seed0" / "record.json", steps=steps)


def test_steps_without_a_log_are_a_mistake(runs_dir):
    (runs_dir / "tiny-seed0" / "metrics.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"needs the metrics\.jsonl"):
        reproduce(runs_dir / "tiny-seed0" / "record.json", steps=4)


def test_what_differs_in_the_surroundings_is_told_before_training(runs_dir):
    path = runs_dir / "tiny-seed0" / "record.json"
    record = records.read(path)
    config = dict(record.config)
    del config["remat"]
    change(
        path,
        software=record.software | {"jax": "0.0.1"},
        hardware=record.hardware | {"device_kind": "abacus"},
        dataset=dataclasses.replace(record.dataset, train_examples=1256),
        git=records.Git("f" * 40, False),
        config=config,
    )
    told = []
    reproduction = reproduce(path, steps=2, tell=told.append)
    assert tuple(told) == reproduction.differences
    assert {(each.what, each.name) for each in told} >= {
        ("software", "jax"),
        ("hardware", "device_kind"),
        ("data", "train_examples"),
        ("code", "commit"),
        ("configuration", "remat"),
    }
    examples = next(each for each in told if each.name == "train_examples")
    assert str(examples) == "data: train_examples was 1256, here 1257"


def test_a_record_of_an_older_schema_is_run_again(runs_dir):
    path = runs_dir / "tiny-seed0" / "record.json"
    old = json.loads(path.read_text())
    del old["unreadable_examples"], old["accumulation"], old["peak_memory_bytes"]
    for name in ("activations", "weight_bytes"):
        del old["model"][name]
    path.write_text(json.dumps(old | {"schema_version": 1}))
    assert reproduce(path).verdict == comparison.IDENTICAL


def test_a_diverged_run_is_the_same_if_it_diverges_at_the_same_step(config, tmp_path):
    config.model = "tiny:fault=nan"
    train_and_evaluate(config, tmp_path)
    path = tmp_path / "record.json"
    reproduction = reproduce(path)
    assert reproduction.verdict == comparison.IDENTICAL
    assert "diverged at step 1" in reproduction.reason
    again = records.read(path)
    change(path, failure=records.Failure(3, float("nan"), float("nan")))
    reproduction = compared(path, again)
    assert reproduction.verdict == comparison.DIFFERENT
    assert "diverged at step 3" in reproduction.reason


def test_a_run_that_completes_where_the_record_failed_is_different(runs_dir):
    path = runs_dir / "tiny-seed0" / "record.json"
    again = records.read(path)
    change(path, status="failed", error="RuntimeError: full disk", metrics=records.Metrics())
    reproduction = compared(path, again)
    assert reproduction.verdict == comparison.DIFFERENT
    assert "full disk" in reproduction.reason


def test_parts_that_memory_asked_for_and_steps_that_seconds_bought_are_kept(runs_dir):
    path = runs_dir / "tiny-seed0" / "record.json"
    record = records.read(path)
    config = dict(record.config) | {"budget": {"kind": "seconds", "amount": 0.5}}
    budget = dataclasses.replace(record.budget, kind="seconds", amount=0.5)
    change(path, config=config, budget=budget)
    assert reproduce(path, steps=4).verdict == comparison.IDENTICAL
    change(path, accumulation=2)
    assert reproduce(path, steps=2).verdict == comparison.DIFFERENT


def test_mistakes_are_told_before_anything_runs(runs_dir, tmp_path):
    path = runs_dir / "tiny-seed0" / "record.json"
    with pytest.raises(RecordError, match="cannot be read"):
        reproduce(tmp_path / "record.json")
    with pytest.raises(ConfigError, match="where the record is"):
        reproduce(path, workdir=path.parent)
    with pytest.raises(ConfigError, match="finished run"):
        reproduce(path, workdir=runs_dir / "tiny-seed1")
    change(path, config=dict(records.read(path).config) | {"dataset": "cifar10"})
    with pytest.raises(DataError, match="cifar10"):
        reproduce(path, data_dir=str(tmp_path))
    change(
        path,
        config=dict(records.read(path).config) | {"dataset": "tiny_imagenet_100:/there/tiny.zip"},
    )
    with pytest.raises(DataError, match=f"there is no tiny-imagenet-200 or .* in '{tmp_path}'"):
        reproduce(path, data_dir=str(tmp_path))
    change(path, status="crashed")
    with pytest.raises(ConfigError, match="was killed"):
        reproduce(path)


def test_the_command_answers_with_its_exit_status(command_here, suite_dir, tmp_path):
    path = suite_dir / "runs" / "tiny-seed0" / "record.json"
    done = command_here(
        "benchmarks.reproduce", str(path), "--steps=4", f"--out={tmp_path}/out.json"
    )
    assert done.returncode == 0, done.stderr
    assert "bit-identical: what was logged of training agrees up to step 4." in done.stdout
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["verdict"], written["steps"]) == ("bit-identical", 4)


def test_the_command_wants_one_record():
    with pytest.raises(ConfigError, match="name one record"):
        __main__.main([])
