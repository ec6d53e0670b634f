"""The same run on one device and on several."""

import json

import pytest


def _losses(directory):
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").open()]
    return [line["train/loss"] for line in lines if "train/loss" in line]


def test_four_devices_give_the_losses_of_one(command, tmp_path):
    arguments = (
        "benchmarks.train",
        "--config=benchmarks/configs/digits.py",
        "--config.model=tiny",
        "--config.budget.amount=384",
        "--config.log_every_steps=1",
    )
    for count in (1, 4):
        done = command(
            *arguments,
            f"--workdir={tmp_path / str(count)}",
            XLA_FLAGS=f"--xla_force_host_platform_device_count={count}",
        )
        assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "4" / "record.json").read_text())
    assert record["hardware"]["device_count"] == 4
    assert record["metrics"]["test"]["examples"] == 360
    one, four = _losses(tmp_path / "1"), _losses(tmp_path / "4")
    assert len(one) == 12
    assert four == pytest.approx(one, rel=1e-5)
