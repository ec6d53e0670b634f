"""Which network of PyTorch's packages is which model here."""

import pytest

import models
from benchmarks.errors import ConfigError
from benchmarks.throughput import torch_networks
from benchmarks.throughput.torch_networks import Network

_TIMMS = {"drop_rate": 0.001, "pad_type": "same"}


@pytest.mark.parametrize(
    ("spec", "network"),
    [
        ("resnet50", Network("torchvision", "resnet50", {}, 1e-5)),
        ("resnet18:epsilon=0.001", Network("torchvision", "resnet18", {}, 1e-3)),
        ("vgg16:dropout=0.25", Network("torchvision", "vgg16", {"dropout": 0.25})),
        ("squeezenet1_1", Network("torchvision", "squeezenet1_1", {"dropout": 0.5})),
        (
            "mobilenet_v2:width=0.5",
            Network("torchvision", "mobilenet_v2", {"width_mult": 0.5, "dropout": 0.2}, 1e-5),
        ),
        (
            "inception_v3:auxiliary=false",
            Network(
                "torchvision",
                "inception_v3",
                {
                    "aux_logits": False,
                    "transform_input": False,
                    "dropout": 0.5,
                    "init_weights": False,
                },
            ),
        ),
        ("mobilenet_v1", Network("timm", "mobilenetv1_100", _TIMMS, 1e-3)),
        (
            "mobilenet_v1:width=1.25,padding=torch,epsilon=1e-05",
            Network("timm", "mobilenetv1_125", {**_TIMMS, "pad_type": ""}, 1e-5),
        ),
        (
            "mobilenet_v3_small:padding=tensorflow,dropout=0.001",
            Network("timm", "mobilenetv3_small_100", _TIMMS, 1e-3),
        ),
    ],
)
def test_a_model_is_compared_with_the_same_network(spec, network):
    assert torch_networks.find(spec) == network


@pytest.mark.parametrize(
    "spec",
    [
        "plain18",
        "alexnet_2012",
        "squeezenet1_1:final_relu=false",
        "squeezenet1_0:padding=tensorflow",
        "googlenet:padding=tensorflow",
        "mobilenet_v1:width=0.5",
        "mobilenet_v1:depthwise=false",
        "mobilenet_v2:padding=tensorflow,width=0.5",
        "tiny",
    ],
)
def test_what_pytorch_does_not_have_is_one_sentence(spec):
    with pytest.raises(ConfigError) as raised:
        torch_networks.find(spec)
    sentence = str(raised.value)
    assert f"no network like '{spec}'" in sentence
    assert "they have alexnet, googlenet" in sentence


def test_every_model_that_is_said_to_be_there_is_there_and_registered():
    assert set(torch_networks.names()) < set(models.names())
    for name in torch_networks.names():
        assert torch_networks.find(name).package in ("torchvision", "timm")
