"""Shared by the tests of the input pipeline: one prepared digits dataset for all of them."""

import pytest

from input_pipeline import datasets


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def digits(data_dir):
    return datasets.load("digits", data_dir)
