"""Logits equal torchvision's, recorded by `test_parity_torchvision.py`, from the same seeded weights and images."""

import json
from pathlib import Path

import numpy as np
import pytest

import models

GOLDEN = json.loads(Path(__file__).with_name("golden_logits.json").read_text())
# Others here are of the same kind; the parity tests compare every model with PyTorch itself.
_SLOW = {
    *("resnet34", "resnet101", "resnet152", "vgg11", "vgg13", "vgg19"),
    *("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn", "mobilenet_v3_small", "resnet18"),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in _SLOW)) for name in GOLDEN],
)
def test_logits_are_those_recorded_from_torchvision(name, seeded):
    recorded = GOLDEN[name]
    options = {"transform_input": True} if "transform_input" in models.info(name).options else {}
    model = seeded.model(name, **options)
    images = seeded.images(1, recorded["image_size"])
    logits = np.asarray(seeded.run(model, lambda model, images: model(images), images))
    expected = np.array(list(recorded["logits"].values()))
    ours = logits[0, list(map(int, recorded["logits"]))]
    assert np.abs(ours - expected).max() <= 1e-4 * np.abs(expected).max()
