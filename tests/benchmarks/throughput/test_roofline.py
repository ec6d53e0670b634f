"""How near a model comes to what its device can do."""

import csv

import jax.numpy as jnp
import pytest

import models
from benchmarks.throughput import roofline


@pytest.fixture
def small(monkeypatch):
    """Rates are measured on little, for a moment."""
    monkeypatch.setattr(roofline, "_MATRIX_SIDE", {"cpu": 64})
    monkeypatch.setattr(roofline, "_COPIED_BYTES", {"cpu": 2**16})
    monkeypatch.setattr(roofline, "_SECONDS", 0.0)


def test_the_command_tells_both_bounds_of_training_and_of_inference(small, command_here, tmp_path):
    ended = command_here(
        *("benchmarks.throughput", "--roofline", "--models=mobilenet_v1:width=0.25"),
        *("--image_size=32", "--batch_size=2", f"--out={tmp_path / 'roofline.csv'}"),
    )
    assert ended.returncode == 0, ended.stderr
    assert "of bandwidth" in ended.stdout
    train, infer = csv.DictReader((tmp_path / "roofline.csv").open())
    assert (train["kind"], infer["kind"]) == ("train", "infer")
    macs = models.count_macs("mobilenet_v1:width=0.25", 32)
    assert float(infer["flops"]) == 2 * 2 * macs
    assert float(train["flops"]) == 3 * float(infer["flops"])
    weights = 4 * models.count_parameters(models.create_abstract("mobilenet_v1:width=0.25", 1000))
    assert float(train["bytes_moved"]) > float(infer["bytes_moved"]) > weights
    for row in (train, infer):
        seconds = float(row["step_ms"]) / 1e3
        for what in ("flops", "bytes"):
            amount = float(row["flops" if what == "flops" else "bytes_moved"])
            rate = float(row[f"peak_{what}_per_second"])
            assert float(row[f"{what}_bound_ms"]) == pytest.approx(1e3 * amount / rate)
            assert float(row[f"{what}_share"]) == pytest.approx(amount / seconds / rate)


def test_rates_are_of_what_was_computed(small):
    assert roofline.copy_rate() > 0
    assert roofline.matrix_rate(jnp.bfloat16.dtype.name) > 0


def test_it_is_a_measurement_of_its_own(command_here):
    ended = command_here("benchmarks.throughput", "--roofline", "--loop", "--models=resnet18")
    assert ended.returncode == 2
    assert "say only one" in ended.stderr
