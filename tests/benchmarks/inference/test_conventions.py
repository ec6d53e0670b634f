"""Padding, epsilon and the background class go with the weights that need them."""

import numpy as np
import pytest
from flax import nnx

import models
from benchmarks.inference import trained_model
from models import pretrained, weight_description
from models.weight_description import describe

SPEC = "mobilenet_v1:width=0.25"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights drawn at random, described as padded like PyTorch's."""
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    pretrained.save(models.create(SPEC, 7, rngs=nnx.Rngs(params=0)), path)
    weight_description.write(describe(SPEC, 7, {"padding": "torch", "epsilon": 0.01}), path)
    return path


def test_a_network_pads_as_its_weights_are_described(weights):
    trained = trained_model.from_weights(None, weights)
    assert trained.label == "mobilenet_v1:epsilon=0.01,padding=torch,width=0.25"
    assert not {"padding", "epsilon"} & {*trained.needs.assumed}
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    by_hand = pretrained.load(trained.label, weights)((noise / 127.5 - 1).astype(np.float32))
    np.testing.assert_allclose(trained.logits(noise), by_hand, rtol=1e-4, atol=1e-6)


def test_padding_on_the_command_line_overrides_the_description(weights):
    for changed in (
        trained_model.from_weights(None, weights, padding="tensorflow"),
        trained_model.from_weights(f"{SPEC},padding=tensorflow", weights),
    ):
        assert changed.needs.options["padding"] == "tensorflow"
        assert changed.overridden == {"padding": ("torch", "tensorflow")}
        assert changed.needs.options["epsilon"] == 0.01


def test_an_import_keeps_what_is_stated_beside_its_source(command_here, weights, tmp_path):
    arguments = (f"--model={SPEC}", f"--weights={weights}", f"--out={tmp_path}")
    ended = command_here("models.pretrained", *arguments, "--epsilon=0.02")
    assert ended.returncode == 0, ended.stderr
    described = weight_description.find(tmp_path / "weights.safetensors")
    assert (described.options["padding"], described.options["epsilon"]) == ("torch", 0.02)
    assert not {"padding", "epsilon"} & {*described.assumed}


@pytest.mark.parametrize(
    ("flag", "classes", "count"),
    [("--drop_background", "imagenet", 1000), ("--nodrop_background", "imagenet_background", 1001)],
)
def test_an_import_names_its_classes_with_or_without_the_background(
    command_here, tmp_path, flag, classes, count
):
    source = tmp_path / "source.pth"
    pretrained.save(models.create("tiny", 1001, rngs=nnx.Rngs(params=0)), source)
    arguments = ("--model=tiny", f"--weights={source}", f"--out={tmp_path}", "--plugins=tiny_model")
    ended = command_here("models.pretrained", *arguments, flag)
    assert ended.returncode == 0, ended.stderr
    path = tmp_path / "weights.safetensors"
    described = weight_description.find(path)
    assert (described.classes, len(described.class_names)) == (classes, count)
    assert trained_model.from_weights(None, path).class_names[-1] == "toilet tissue"
    # What is described to have one, may be imported again with it or without.
    again = (f"--weights={path}", f"--out={tmp_path / 'again'}")
    ended = command_here("models.pretrained", *arguments[:1], *again, *arguments[3:])
    assert ended.returncode == 0, ended.stderr
    assert weight_description.find(tmp_path / "again" / path.name).classes == classes


def test_a_description_of_a_padding_that_there_is_not_is_refused(weights, tmp_path):
    path = tmp_path / "net.pth"
    value = weight_description.path_of(weights).read_text().replace('"torch"', '"valid"')
    weight_description.path_of(path).write_text(value)
    with pytest.raises(models.ModelError, match=r"net\.json cannot be read .*valid"):
        weight_description.find(path)
