"""What only evaluation meets is found before a step is trained, and a result that is no number is no result."""

import math

import numpy as np
import pytest
from PIL import Image

from benchmarks.cli import progress
from benchmarks.train import train_and_evaluate


class Phases(progress.JsonLines):
    """Remembers the phases that a run went through."""

    def __init__(self):
        self.seen: list[str] = []

    def report(self, event):
        self.seen.append(event.phase)


@pytest.fixture
def folder(tmp_path):
    """A folder of two classes whose test pictures are no pictures."""
    chance = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        for label in ("a", "b"):
            directory = tmp_path / "pictures" / split / label
            directory.mkdir(parents=True)
            for index in range(8):
                path = directory / f"{index}.png"
                if split == "test":
                    path.write_bytes(b"no picture")
                else:
                    Image.fromarray(chance.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    return tmp_path / "pictures"


def test_a_test_split_that_cannot_be_read_ends_a_run_before_training(config, folder, tmp_path):
    config.dataset = f"folder:{folder}"
    config.batch_size = 4
    phases = Phases()
    record = train_and_evaluate(config, tmp_path / "run", reporter=phases)
    assert record.status == "failed"
    assert "DataError" in record.error
    assert "training" not in phases.seen


def test_logits_that_are_no_numbers_in_evaluation_alone_are_no_result(config, tmp_path):
    config.model = "tiny:fault=nan_in_evaluation"
    record = train_and_evaluate(config, tmp_path)
    assert record.status == "diverged"
    assert record.failure.step == 12
    assert math.isnan(record.failure.loss)
    assert record.weights_digest is None
