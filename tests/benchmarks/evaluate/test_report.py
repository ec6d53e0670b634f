"""The lines that an evaluation prints."""

import dataclasses

import pytest

from benchmarks.evaluate import report

EVALUATION = report.Evaluation(
    model="mobilenet_v1",
    weights="weights.safetensors",
    dataset="imagenet2012",
    dataset_version="5.1.0",
    split="validation",
    image_size=224,
    crop_fraction=0.875,
    crops=1,
    dtype="float32",
    metrics={"top1": 0.5, "examples": 10},
    num_classes=1000,
)


@pytest.mark.parametrize(
    ("changes", "figures"),
    [
        ({}, ["70.900%", "70.600%", "70.400%"]),
        ({"model": "mobilenet_v1:width=0.25"}, ["49.800%", "50.600%"]),
        ({"model": "mobilenet_v1:width=0.25", "image_size": 128}, ["41.500%"]),
        ({"model": "mobilenet_v1:width=0.25,padding=torch"}, []),
        ({"image_size": 96}, []),
        ({"dataset": "folder:pictures"}, []),
    ],
)
def test_published_figures_beside_it_are_of_its_network_and_size(changes, figures):
    told = report.describe(dataclasses.replace(EVALUATION, **changes)).splitlines()
    reported = [line.split()[1] for line in told if "reported: " in line]
    assert reported == figures
