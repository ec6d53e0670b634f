"""Keras Applications' own networks, with random weights, give the logits that this suite gives with their files.

`pytest -m keras -n 0 -s` in an environment with Keras (docs/testing.md); prints the largest differences.
"""

import os

import numpy as np
import pytest

from models import pretrained

pytestmark = pytest.mark.keras

# Keras's name, the registered one and the image side.
NETWORKS = [
    ("MobileNet", "mobilenet_v1", 224),
    ("MobileNetV2", "mobilenet_v2", 224),
    ("MobileNetV3Small", "mobilenet_v3_small", 224),
    ("MobileNetV3Large", "mobilenet_v3_large", 224),
    ("ResNet50", "resnet50_v1", 224),
    ("VGG16", "vgg16", 224),
    ("InceptionV3", "inception_v3", 299),
]
FILES = ("model.keras", "model.h5", "model.weights.h5")


@pytest.fixture(scope="module")
def keras():
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    return keras


def randomize(network) -> None:
    """Gives a network of Keras's random weights, with batch statistics away from 0 and 1."""
    chance = np.random.default_rng(0)
    for layer in network.layers:
        values = []
        for variable in layer.weights:
            noise = chance.standard_normal(tuple(variable.shape))
            match variable.path.rpartition("/")[2]:
                case "moving_variance":
                    values.append(1 + 0.5 * np.tanh(noise))
                case "moving_mean" | "beta" | "bias":
                    values.append(0.1 * noise)
                case "gamma":
                    values.append(0.8 + 0.2 * np.tanh(noise))
                case _:
                    depthwise = type(layer).__name__ == "DepthwiseConv2D"
                    inputs = variable.shape[:2] if depthwise else variable.shape[:-1]
                    values.append(noise / np.sqrt(np.prod(inputs)))
        if values:
            layer.set_weights([each.astype(np.float32) for each in values])


@pytest.mark.parametrize(("theirs", "ours", "size"), NETWORKS, ids=[each[1] for each in NETWORKS])
def test_logits_are_those_of_keras(theirs, ours, size, keras, seeded, tmp_path):
    keras.backend.clear_session()
    more = {"include_preprocessing": False} if theirs.startswith("MobileNetV3") else {}
    build = getattr(keras.applications, theirs)
    network = build(weights=None, classifier_activation=None, **more)
    randomize(network)
    images = seeded.images(2, size)
    wanted = np.asarray(network(images, training=False))
    largest = np.abs(wanted).max()
    for file in FILES:
        path = tmp_path / file
        (network.save_weights if file == "model.weights.h5" else network.save)(path)
        model = pretrained.load(ours, path)
        path.unlink()
        logits = np.asarray(seeded.run(model, lambda model, images: model(images), images))
        difference = np.abs(logits - wanted).max() / largest
        print(f"{theirs} {file} {model.spec}: {difference:.1e} of {largest:.3g}")
        assert difference < 1e-4
    assert np.std(wanted) > 0.01 * largest  # else anything would be near
