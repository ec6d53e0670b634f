"""Shared by the tests of the input pipeline: one prepared digits dataset for all of them."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from input_pipeline import augmentation, builders, datasets
from isobudget import plugins


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def digits(data_dir):
    return datasets.load("digits", data_dir)


def _photograph(height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
    picture = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), float)
    return np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def photograph():
    """Makes smooth noise with some detail, uint8 [height, width, 3]."""
    return _photograph


@pytest.fixture(scope="session")
def composed(data_dir):
    return datasets.load("digits_multilabel", data_dir)


@pytest.fixture
def registries(monkeypatch):
    """What a test registers is gone when it ends."""
    builders.import_built_in()
    monkeypatch.setattr(builders, "_builders", dict(builders._builders))
    crops, changes = dict(augmentation.CROPS), dict(augmentation.CHANGES)
    yield
    for registry, before in ((augmentation.CROPS, crops), (augmentation.CHANGES, changes)):
        registry.clear()
        registry.update(before)


@pytest.fixture
def somebodys_plugin(registries, monkeypatch):
    """Puts a plug-in where it can be imported and returns its name: a crop, a change and a dataset."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "plugins")
    monkeypatch.setattr(plugins, "_loaded", {})
    yield "somebodys_plugin"
    sys.modules.pop("somebodys_plugin", None)
