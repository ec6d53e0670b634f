"""Every torchvision model here gives torchvision's numbers: logits, gradients, batch statistics.

pytest -m parity tests/models -s        # prints the largest relative differences, too
ISOBUDGET_RECORD_GOLDEN=1 pytest -m parity tests/models -k golden
"""

import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import models
from models import pretrained

pytestmark = pytest.mark.parity

GOLDEN = Path(__file__).with_name("golden_logits.json")
GOLDEN_CLASSES = [0, 1, 250, 500, 999]
LOGITS, GRADIENTS = 1e-4, 1e-3


def paper_size(name: str) -> int:
    return models.info(name).input_size


def odd_size(name: str) -> int:
    # Inception v3's auxiliary head needs 17x17 features in torchvision.
    return 301 if name == "inception_v3" else 97


def golden_size(name: str) -> int:
    return max(models.info(name).min_size, 32) | 1


@pytest.fixture(scope="module", params=models.names())
def pair(request, seeded, torch, torchvision):
    """(name, our model, torchvision's) with the same weights and no dropout."""
    name = request.param
    if not hasattr(torchvision.models, name):
        pytest.skip(f"torchvision has no {name}")
    arguments = {}
    if name in ("inception_v3", "googlenet"):
        arguments = {"init_weights": False, "aux_logits": True, "transform_input": True}
    theirs = getattr(torchvision.models, name)(**arguments)
    state = {
        key: torch.from_numpy(seeded.tensor(key, tuple(value.shape)))
        for key, value in theirs.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    theirs.load_state_dict(state, strict=False)
    for module in theirs.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    options = {"dropout": 0.0, "auxiliary_dropout": 0.0, "transform_input": True}
    known = models.info(name).options
    ours = seeded.model(name, **{key: options[key] for key in options if key in known})
    return name, ours, theirs


def report(name: str, what: str, value: float) -> None:
    print(f"\n{name}: {what} {value:.1e}", end=" ")


def relative(ours, theirs, floor: float = 0.0) -> float:
    """Returns the largest difference, relative to the largest value."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), floor))


def torch_logits(torch, model, images) -> np.ndarray:
    model.eval()
    with torch.no_grad():
        return model(channels_first(torch, images)).numpy()


def channels_first(torch, images):
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def test_golden_values_are_torchvisions(pair, seeded, torch):
    name, _, theirs = pair
    images = seeded.images(1, golden_size(name))
    logits = torch_logits(torch, theirs, images)[0, GOLDEN_CLASSES]
    if os.environ.get("ISOBUDGET_RECORD_GOLDEN"):
        golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
        values = dict(zip(map(str, GOLDEN_CLASSES), logits.tolist(), strict=True))
        golden[name] = {"image_size": golden_size(name), "logits": values}
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
    recorded = json.loads(GOLDEN.read_text())[name]
    assert relative(list(recorded["logits"].values()), logits) < 1e-5


def test_names_and_shapes_of_tensors_are_torchvisions(pair):
    _, ours, theirs = pair
    expected = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in pretrained.state_dict(ours).items()} == expected


@pytest.mark.parametrize("size_of", [paper_size, odd_size])
def test_logits_in_evaluation_are_torchvisions(pair, size_of, seeded, torch):
    name, ours, theirs = pair
    images = seeded.images(2, size_of(name))
    expected = torch_logits(torch, theirs, images)
    assert expected.std(axis=1).min() > 1e-2 * np.abs(expected).max(), "logits that say too little"
    logits = seeded.run(ours, lambda model, images: model(images), images)
    difference = relative(logits, expected)
    report(name, f"logits {images.shape[1]}", difference)
    assert difference <= LOGITS


def test_logits_in_training_are_as_exact_as_torchvisions(pair, seeded, torch):
    """Compared with float64, as batch statistics of few values amplify rounding, in PyTorch (ResNet-152: 4e-4) too."""
    name, ours, theirs = pair
    images, labels = seeded.images(4, odd_size(name)), np.arange(4)
    weight = ours.auxiliary_weight
    rounded = torch_step(torch, theirs, images, labels, weight, train=True)["logits"]
    theirs.double()
    exact = torch_step(torch, theirs, images.astype(np.float64), labels, weight, True)["logits"]
    theirs.float()

    def forward(model, images):
        logits, auxiliary = model.logits_and_auxiliary(images, train=True)
        return logits, *auxiliary

    logits = seeded.run(ours, forward, images)
    worst = max(relative(*each) for each in zip(logits, exact, strict=True))
    peers = max(relative(*each) for each in zip(rounded, exact, strict=True))
    report(name, f"float32 training logits (PyTorch's own {peers:.1e})", worst)
    assert worst <= max(LOGITS, 3 * peers)


@pytest.mark.parametrize("train", [False, True], ids=["evaluation", "training"])
def test_gradients_and_batch_statistics_are_torchvisions(pair, train, seeded, torch):
    """In float64: in float32 a rounding error that flips a ReLU or a maximum changes a deep net's gradients by 1e-2,
    PyTorch's as much as ours."""
    name, ours, theirs = pair
    mode = "training" if train else "evaluation"
    images, labels = seeded.images(4, odd_size(name)).astype(np.float64), np.arange(4)
    theirs.double()
    expected = torch_step(torch, theirs, images, labels, ours.auxiliary_weight, train)
    theirs.float()
    logits, gradients, statistics = our_step(seeded, ours, images, labels, train)

    worst = max(relative(*each) for each in zip(logits, expected["logits"], strict=True))
    report(name, f"float64 {mode} logits", worst)
    assert worst <= LOGITS

    # A bias before batch norm has no gradient but rounding.
    floor = 1e-6 * max(np.abs(each).max() for each in expected["gradients"].values())
    worst = max(
        (relative(gradients[key], each, floor), key) for key, each in expected["gradients"].items()
    )
    report(name, f"float64 {mode} gradients", worst[0])
    assert worst[0] <= GRADIENTS, worst

    if expected["statistics"]:
        worst = max(
            (relative(statistics[k], each), k) for k, each in expected["statistics"].items()
        )
        report(name, "float64 batch statistics", worst[0])
        assert worst[0] <= LOGITS, worst


def torch_step(torch, model, images, labels, auxiliary_weight, train) -> dict:
    """Returns torchvision's logits, gradients and, in training, batch statistics with the biased variance."""
    counts = {}

    def count(name):
        return lambda module, inputs: counts.update({name: inputs[0].numel() // inputs[0].shape[1]})

    norms = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    hooks = [norm.register_forward_pre_hook(count(name)) for name, norm in norms.items()]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train(train)
    model.zero_grad()
    answers = model(channels_first(torch, images))
    # torchvision's GoogLeNet gives its second auxiliary head first.
    answers = [answers[0], *reversed(answers[1:])] if isinstance(answers, tuple) else [answers]
    losses = [torch.nn.functional.cross_entropy(each, torch.from_numpy(labels)) for each in answers]
    (losses[0] + auxiliary_weight * sum(losses[1:])).backward()
    statistics = {}
    for name, norm in norms.items() if train else ():
        kept = (1 - norm.momentum) * before[f"{name}.running_var"]
        biased = (norm.running_var - kept) * (counts[name] - 1) / counts[name]
        statistics[f"{name}.running_var"] = (kept + biased).numpy()
        statistics[f"{name}.running_mean"] = norm.running_mean.numpy().copy()
    parameters = model.named_parameters()
    result = {
        "logits": [each.detach().numpy() for each in answers],
        "gradients": {key: p.grad.numpy().copy() for key, p in parameters if p.grad is not None},
        "statistics": statistics,
    }
    for hook in hooks:
        hook.remove()
    model.load_state_dict(before)
    return result


def our_step(seeded, model, images, labels, train) -> tuple:
    """Returns our logits and, by torchvision's names, the gradients and new batch statistics, in float64."""

    def step(model, images):
        graph, parameters, rest = nnx.split(model, nnx.Param, ...)

        def loss(parameters):
            model = nnx.merge(graph, parameters, rest, copy=True)
            logits, auxiliary = model.logits_and_auxiliary(images, train=train)
            answers = (logits, *auxiliary)
            losses = [
                -jnp.mean(jax.nn.log_softmax(each)[np.arange(len(labels)), labels])
                for each in answers
            ]
            total = losses[0] + model.auxiliary_weight * sum(losses[1:])
            return total, (answers, nnx.state(model, nnx.BatchStat))

        return jax.grad(loss, has_aux=True)(parameters)

    with jax.enable_x64(True):
        graph, state = nnx.split(model)
        state = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), state)
        gradients, (logits, statistics) = seeded.run(nnx.merge(graph, state), step, images)
        moved = nnx.merge(graph, state, copy=True)
        nnx.update(moved, gradients)
        nnx.update(moved, statistics)
        assert {each.dtype for each in logits} == {np.dtype(np.float64)}
        tensors = pretrained.state_dict(moved)
        return [np.asarray(each) for each in logits], tensors, tensors
