"""PyTorch's networks and the process that times them, where PyTorch is installed.

pytest -m parity -n 0 tests/benchmarks/throughput
"""

import dataclasses
import math

import pytest

import models
from benchmarks.config import default_config
from benchmarks.machine import child
from benchmarks.runs import validation
from benchmarks.throughput import peers, torch_networks
from models import pretrained

pytestmark = pytest.mark.parity

_SPECS = (
    *torch_networks.names(),
    "googlenet:auxiliary=false",
    "mobilenet_v1:width=1.25,padding=torch,epsilon=1e-05",
    "mobilenet_v2:width=0.5",
    "mobilenet_v2:width=1.4,padding=tensorflow,epsilon=0.001",
    "mobilenet_v3_large:padding=tensorflow",
    "mobilenet_v3_small:width=0.5",
    "resnet18:epsilon=0.001",
)


@pytest.mark.parametrize("spec", _SPECS)
def test_the_network_has_the_same_parameters(spec, torch):
    from benchmarks.throughput import torch_child

    network = torch_networks.find(spec)
    if network.package == "timm":
        pytest.importorskip("timm", reason="this parity needs timm")
    with torch.device("meta"):
        theirs = torch_child.create(
            {
                "package": network.package,
                "name": network.name,
                "arguments": network.arguments,
                "epsilon": network.epsilon,
            },
            num_classes=10,
        )
    shapes = pretrained.shapes(models.create_abstract(spec, 10))
    ours = [math.prod(shape) for name, shape in shapes.items() if "running_" not in name]
    assert sorted(ours) == sorted(each.numel() for each in theirs.parameters())


@pytest.fixture
def setup(monkeypatch):
    config = default_config()
    config.model, config.image_size = "squeezenet1_1", "32"
    config.batch_size = config.eval_batch_size = 2
    return validation.checked(config, 10)


@pytest.mark.parametrize(("optimizer", "dtype"), [("adamw", "float32"), ("sgd", "bfloat16")])
def test_a_turn_times_both(setup, torch, optimizer, dtype):
    setup.config.optimizer.name, setup.config.dtype = optimizer, dtype
    (speed,) = peers.measure([setup], peers.Manner(turns=1, seconds=0.0))
    assert speed.peer == f"torch {torch.__version__}"
    assert speed.peer_train_format in peers.MEMORY_FORMATS
    for ratio in (speed.train_ratio, speed.infer_ratio):
        assert 0 < ratio < math.inf


def test_a_process_of_its_own_makes_timms_networks_too(setup, torch):
    pytest.importorskip("timm", reason="this parity needs timm")
    network = torch_networks.find("mobilenet_v1")
    request = peers._torch_request(setup, peers.Manner()) | {"do": "prepare", "platform": "cpu"}
    request |= {"memory_format": "channels_last", "network": dataclasses.asdict(network)}
    with child.Child(peers._TORCH_CHILD, "PyTorch's process") as process:
        assert process.ask(request) == {"version": torch.__version__}
        told = process.ask({"do": "time", "seconds": 0.0})
    assert set(told["paces"]) == {"train", "infer"}


def test_a_network_that_pytorch_cannot_run_is_one_sentence(setup, torch):
    request = peers._torch_request(setup, peers.Manner()) | {"do": "prepare", "platform": "cpu"}
    request |= {"memory_format": "contiguous", "image_size": 4}
    with pytest.raises(child.ChildError, match=r"^PyTorch cannot run squeezenet1_1: .*\.$"):
        child.ask(peers._TORCH_CHILD, request, "PyTorch's process")


def test_the_optimizer_decays_what_ours_does(torch):
    from benchmarks.throughput import torch_child

    model = torch.nn.Sequential(
        torch.nn.Conv2d(4, 4, 3, groups=4), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2)
    )
    config = dict(default_config().optimizer) | {"decay_depthwise": False}
    kept, decayed = torch_child.create_optimizer(model, config).param_groups
    assert [tuple(each.shape) for each in decayed["params"]] == [(2, 4)]
    assert (kept["weight_decay"], decayed["weight_decay"]) == (0.0, 0.01)
    assert len(kept["params"]) == 5
