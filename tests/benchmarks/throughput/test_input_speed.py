"""The speed of reading is told by stage and by number of workers; how fast it is is not tested."""

import csv

import pytest

from benchmarks.config.setup import set_up
from benchmarks.errors import ConfigError
from benchmarks.throughput import input_speed
from input_pipeline import augmentation, datasets

CROP = augmentation.create({"crop": "random_resized", "changes": ("flip",)})


@pytest.fixture(scope="module")
def digits(data_dir):
    return datasets.load("digits", data_dir)


def test_each_stage_and_number_of_workers_has_its_speed(digits):
    speeds = input_speed.measure(
        *(digits, "train"),
        image_size=16,
        batch_size=8,
        augmentation=CROP,
        workers=(0, 1),
        rounds=1,
        batches=3,
    )
    assert [(each.stage, each.workers) for each in speeds] == [
        *(("read", 0), ("decode", 0), ("augment", 0)),
        *(("batch", 0), ("batch", 1), ("device", 0)),
    ]
    assert {each.reader for each in speeds} == {"isobudget"}
    assert all(each.images_per_second > 0 for each in speeds)


def test_the_share_of_training_spent_waiting_is_a_share(config, digits):
    waiting = input_speed.measure_waiting(set_up(config, 10), digits, steps=4)
    assert (waiting.model, waiting.batch_size) == ("tiny", 32)
    assert 0 < waiting.input_wait_share < 1


def test_a_peer_that_is_not_known_or_not_installed_is_one_sentence(digits, monkeypatch):
    options = {"image_size": 16, "batch_size": 8, "augmentation": CROP}
    with pytest.raises(ConfigError, match="a peer is one of tf_data, torch, not 'dali'"):
        input_speed.measure(digits, "train", **options, peers=("dali",))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="comparing with tf_data needs tensorflow"):
        input_speed.measure(digits, "train", **options, peers=("tf_data",))


def test_the_command_writes_a_row_for_each(command_here, tmp_path):
    ended = command_here(
        *("benchmarks.throughput", "--input", "--dataset=digits", "--image_size=16"),
        *("--batch_size=16", "--workers=0", "--models=tiny", f"--out={tmp_path / 'speed.csv'}"),
    )
    # Tiny takes images of 32 pixels and more.
    assert ended.returncode == 2
    assert "at least 32x32" in ended.stderr
    ended = command_here(
        *("benchmarks.throughput", "--input", "--dataset=digits", "--image_size=32"),
        *("--batch_size=16", "--workers=0", "--models=tiny", f"--out={tmp_path / 'speed.csv'}"),
    )
    assert ended.returncode == 0, ended.stderr
    (row,) = csv.DictReader((tmp_path / "speed.csv").open())
    assert row["model"] == "tiny"
    assert 0 <= float(row["input_wait_share"]) <= 1
