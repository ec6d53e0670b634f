"""Hugging Face's names of ResNet, MobileNet v1 and v2 become torchvision's; the expected ones are written out here."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import models
from models import pretrained


def pairs_of_resnet(depths: tuple[int, ...], convolutions: int) -> dict[str, str]:
    """Returns Hugging Face's layers by torchvision's."""
    stem = "resnet.embedder.embedder"
    names = {"conv1": f"{stem}.convolution", "bn1": f"{stem}.normalization"}
    for stage, depth in enumerate(depths):
        for block in range(depth):
            ours, theirs = (
                f"layer{stage + 1}.{block}",
                f"resnet.encoder.stages.{stage}.layers.{block}",
            )
            for index in range(convolutions):
                names[f"{ours}.conv{index + 1}"] = f"{theirs}.layer.{index}.convolution"
                names[f"{ours}.bn{index + 1}"] = f"{theirs}.layer.{index}.normalization"
            names[f"{ours}.downsample.0"] = f"{theirs}.shortcut.convolution"
            names[f"{ours}.downsample.1"] = f"{theirs}.shortcut.normalization"
    return names | {"fc": "classifier.1"}


def pairs_of_mobilenet_v1() -> dict[str, str]:
    stem = "mobilenet_v1.conv_stem"
    names = {"conv_stem": f"{stem}.convolution", "bn1": f"{stem}.normalization"}
    blocks = [
        (stage, block) for stage, depth in enumerate((1, 2, 2, 6, 2)) for block in range(depth)
    ]
    for index, (stage, block) in enumerate(blocks):
        for half, (conv, norm) in enumerate((("conv_dw", "bn1"), ("conv_pw", "bn2"))):
            theirs = f"mobilenet_v1.layer.{2 * index + half}"
            names[f"blocks.{stage}.{block}.{conv}"] = f"{theirs}.convolution"
            names[f"blocks.{stage}.{block}.{norm}"] = f"{theirs}.normalization"
    return names | {"classifier": "classifier"}


def pairs_of_mobilenet_v2() -> dict[str, str]:
    places = {
        "features.0": ("conv_stem.first_conv", "{}.0", "{}.1"),
        "features.1.conv.0": ("conv_stem.conv_3x3", "{}.0", "{}.1"),
        "features.18": ("conv_1x1", "{}.0", "{}.1"),
    }
    names = {}
    for ours, (theirs, conv, norm) in places.items():
        names[conv.format(ours)] = f"mobilenet_v2.{theirs}.convolution"
        names[norm.format(ours)] = f"mobilenet_v2.{theirs}.normalization"
    names["features.1.conv.1"] = "mobilenet_v2.conv_stem.reduce_1x1.convolution"
    names["features.1.conv.2"] = "mobilenet_v2.conv_stem.reduce_1x1.normalization"
    for index in range(16):
        ours, theirs = f"features.{index + 2}.conv", f"mobilenet_v2.layer.{index}"
        for place, kind in enumerate(("expand_1x1", "conv_3x3")):
            names[f"{ours}.{place}.0"] = f"{theirs}.{kind}.convolution"
            names[f"{ours}.{place}.1"] = f"{theirs}.{kind}.normalization"
        names[f"{ours}.2"] = f"{theirs}.reduce_1x1.convolution"
        names[f"{ours}.3"] = f"{theirs}.reduce_1x1.normalization"
    return names | {"classifier.1": "classifier"}


TENSORFLOW = "epsilon=0.001,padding=tensorflow"


@pytest.mark.parametrize(
    ("spec", "names", "implied"),
    [
        ("resnet18", pairs_of_resnet((2, 2, 2, 2), 2), ""),
        ("resnet50", pairs_of_resnet((3, 4, 6, 3), 3), ""),
        ("mobilenet_v1:width=0.25", pairs_of_mobilenet_v1(), ""),
        ("mobilenet_v2:width=0.35", pairs_of_mobilenet_v2(), TENSORFLOW),
    ],
)
def test_weights_come_back(spec, names, implied, seeded, tmp_path):
    tensors = pretrained.state_dict(seeded.model(spec, 5))
    theirs = {}
    for name, tensor in tensors.items():
        layer, _, leaf = name.rpartition(".")
        theirs[f"{names[layer]}.{leaf}"] = tensor
    save_file(theirs, tmp_path / "model.safetensors", {"format": "pt"})
    loaded = pretrained.load(spec, tmp_path / "model.safetensors")
    assert (
        loaded.spec == models.create_abstract(f"{spec}{',' if ':' in spec else ':'}{implied}").spec
    )
    again = pretrained.state_dict(loaded)
    assert all(np.array_equal(again[name], tensor) for name, tensor in tensors.items())


def test_the_background_class_is_left_out_or_kept_as_one_says(seeded, tmp_path):
    tensors = pretrained.state_dict(seeded.model("mobilenet_v1:width=0.25", 1001))
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(
        models.ModelError, match=r"1,001 classes: TensorFlow's background .*--drop_"
    ):
        pretrained.load("mobilenet_v1:width=0.25", tmp_path / "model.safetensors")
    for drop, start in ((True, 1), (False, 0)):
        loaded = pretrained.load(
            "mobilenet_v1:width=0.25", tmp_path / "model.safetensors", drop_background=drop
        )
        assert loaded.num_classes == 1001 - start
        again = pretrained.state_dict(loaded)
        for leaf in ("weight", "bias"):
            wanted = tensors[f"classifier.{leaf}"][start:]
            np.testing.assert_array_equal(again[f"classifier.{leaf}"], wanted)


def test_of_imagenets_own_classes_none_is_dropped(seeded, tmp_path):
    path = tmp_path / "model.safetensors"
    pretrained.save(seeded.model("mobilenet_v1:width=0.25", 1000), path)
    with pytest.raises(models.ModelError, match="1,000 classes and no background class"):
        pretrained.load("mobilenet_v1:width=0.25", path, drop_background=True)
