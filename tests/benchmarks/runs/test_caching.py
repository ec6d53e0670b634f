"""Runs whose training split is on the devices."""

import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.cli import progress
from benchmarks.errors import ConfigError
from benchmarks.machine import memory
from benchmarks.runs import caching, plan
from benchmarks.runs.validation import validate
from benchmarks.train.run import train_and_evaluate
from results.records import settings


class StopsAt(progress.JsonLines):
    """Stops the run, as Ctrl-C would, once it has reported a step."""

    def __init__(self, step: int):
        self.step = step

    def report(self, event):
        if event.phase == "training" and event.step >= self.step:
            raise KeyboardInterrupt


@pytest.fixture
def augmented(config):
    """Random crops and changes, and a validation split that is read three times."""
    config.augmentation.crop = "random_resized"
    config.augmentation.changes = ("flip", "pad_and_crop")
    config.validate_every_steps = 4
    return config


def test_a_run_ends_with_the_bits_of_the_host_stopped_or_not(augmented, tmp_path, monkeypatch):
    on_host = train_and_evaluate(augmented, tmp_path / "host")
    augmented.cache = "device"
    with pytest.raises(KeyboardInterrupt):
        train_and_evaluate(augmented, tmp_path / "stopped", reporter=StopsAt(8))
    record = train_and_evaluate(augmented, tmp_path / "stopped")
    assert record.weights_digest == on_host.weights_digest
    assert record.metrics == on_host.metrics
    assert (record.config["cache"], on_host.config.get("cache")) == ("device", None)
    assert settings.of_group(record) != settings.of_group(on_host)
    # What is over is not decoded again.
    monkeypatch.setattr(caching.device_cache, "read", None)
    assert train_and_evaluate(augmented, tmp_path / "stopped") == record


def test_a_split_that_does_not_fit_is_one_sentence_before_anything_is_written(
    augmented, tmp_path, monkeypatch
):
    augmented.cache = "device"
    side = plan.prepare(augmented, tmp_path / "run").setup.eval_image_size
    needed = 1257 * (8 * 8 * 3 + 4) + 180 * (side * side * 3 + 8)
    monkeypatch.setattr(memory, "device_bytes", lambda: 2 * needed)
    assert caching.with_cached_split(plan.prepare(augmented, tmp_path / "run")).cached is not None
    monkeypatch.setattr(memory, "device_bytes", lambda: 2 * needed - 2)
    with pytest.raises(
        ConfigError, match=r"needs [0-9.]+ MB on each device, more than half of its"
    ):
        train_and_evaluate(augmented, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pictures_of_two_sizes_are_one_sentence_of_the_run_and_of_the_suite(command_here, tmp_path):
    for index, side in enumerate((8, 8, 9, 8)):
        for split in ("train", "validation", "test"):
            path = tmp_path / "data" / split / "ab"[index % 2] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            file = io.BytesIO()
            Image.fromarray(np.zeros((side, 8, 3), np.uint8)).save(file, "PNG")
            path.write_bytes(file.getvalue())
    arguments = (
        "--config=benchmarks/configs/digits.py",
        f"--config.dataset=folder:{tmp_path / 'data'}",
        "--config.cache=device",
        f"--workdir={tmp_path / 'run'}",
    )
    for command, model in (
        ("benchmarks.train", "--config.model=tiny"),
        ("benchmarks.suite", "--models=tiny"),
    ):
        ended = command_here(command, *arguments, model)
        assert ended.returncode == 2, ended.stderr
        assert "config.cache=device cannot be had: pictures of one size alone" in ended.stderr
        assert not (tmp_path / "run").exists()


def test_what_the_devices_cannot_do_is_told_by_its_field(config):
    config.cache = "host"
    with pytest.raises(ConfigError, match=r"config\.cache is one of none, device, not"):
        validate(config)
    config.cache = "device"
    validate(config)
    config.augmentation.changes = ("rand_augment",)
    with pytest.raises(ConfigError, match=r"does not go with this config\.augmentation.changes"):
        validate(config)
