"""A model's name in what an earlier version wrote stands for the network that it stood for then."""

import pytest

import models
from isobudget import earlier


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("mobilenet_v1", "mobilenet_v1:epsilon=1e-05,padding=torch"),
        ("mobilenet_v1:width=0.25", "mobilenet_v1:epsilon=1e-05,padding=torch,width=0.25"),
        ("mobilenet_v1:depthwise=false", "mobilenet_v1:depthwise=false,epsilon=1e-05,padding=torch"),
    ],
)  # fmt: skip
def test_an_earlier_spec_is_completed_and_told_again_as_it_was(written, meant):
    assert earlier.completed(written) == meant
    assert earlier.as_written(meant) == written
    assert models.label(*models.parse(meant)) == meant


@pytest.mark.parametrize(
    "spec", ["resnet50", "mobilenet_v2:width=0.5", "mobilenet_v10", "", "no:x"]
)
def test_a_model_that_gained_nothing_is_called_the_same(spec):
    assert earlier.completed(spec) == spec
    assert earlier.as_written(spec) is None


@pytest.mark.parametrize(
    "spec",
    ["mobilenet_v1", "mobilenet_v1:padding=torch", "mobilenet_v1:epsilon=0.01,padding=torch"],
)
def test_a_model_that_earlier_versions_could_not_make_had_no_name(spec):
    assert earlier.as_written(spec) is None


def test_options_that_a_record_says_are_kept():
    assert earlier.completed_options("mobilenet_v1", {"width": 0.5}) == {
        "width": 0.5,
        "padding": "torch",
        "epsilon": 1e-5,
    }
    assert earlier.completed_options("resnet50", {}) == {}
