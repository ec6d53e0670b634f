"""Shared by the tests of the input pipeline: one prepared digits dataset for all of them."""

import pytest
from absl import flags

from input_pipeline import datasets

# Grain's worker processes are started through absl, which wants its flags parsed.
if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def digits(data_dir):
    return datasets.load("digits", data_dir)
