"""A description goes to JSON and back, says what nobody stated, and is refused in a sentence if it is odd."""

import json

import pytest
from flax import nnx

import models
from models import ModelError, imagenet_classes, pretrained, weight_description
from models.weight_description import describe


@pytest.fixture
def weights(tmp_path):
    return tmp_path / "net.safetensors"


def test_what_nobody_states_is_the_registrys_and_is_listed():
    description = describe("inception_v3", 1000, {"mean": (0.1, 0.2, 0.3)})
    info = models.info("inception_v3")
    assert description.mean == (0.1, 0.2, 0.3)
    assert (description.std, description.image_size) == (info.std, 299)
    assert description.crop_fraction == info.crop_fraction
    assert {"std", "image_size", "crop_fraction", "interpolation"} < {*description.assumed}
    assert "mean" not in description.assumed
    assert description.options == info.options


@pytest.mark.parametrize(
    ("count", "classes"), [(1000, "imagenet"), (1001, "imagenet_background"), (37, ())]
)
def test_classes_are_known_by_their_number(count, classes):
    assert describe("squeezenet1_1", count).classes == classes


def test_a_thousand_and_one_classes_begin_with_the_background():
    names = describe("squeezenet1_1", 1001).class_names
    assert names[:2] == ("background", "tench")
    assert names[853] == imagenet_classes.WORDS[852] == "tennis ball"


def test_a_description_is_read_as_it_was_written(weights):
    stated = {"mean": [0, 0, 0], "classes": ["cat", "dog"], "channel_order": "bgr"}
    description = describe("mobilenet_v2:width=0.5", 2, stated)
    path = weight_description.write(description, weights)
    assert path == weights.with_name("net.json")
    assert weight_description.find(weights) == description
    assert description.spec == "mobilenet_v2:width=0.5"


def test_the_files_of_other_programs_are_no_descriptions(weights):
    assert weight_description.find(weights) is None
    path = weight_description.path_of(weights)
    for theirs in ({"class_name": "Functional"}, {"modelTopology": {}, "format": "layers-model"}):
        path.write_text(json.dumps(theirs))
        assert weight_description.find(weights) is None
    assert weight_description.find(path) is None  # TensorFlow.js's own weights


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": None}, "its format is isobudget.weights"),
        ({"version": 2}, "it is of version 2, and this program reads up to 1"),
        ({"version": True}, "its version is a whole number"),
        ({"mena": 1}, "there is no field 'mena'"),
        ({"mean": None}, "mean is three numbers"),
        ({"mean": [0.5, 0.5]}, "mean is three numbers"),
        ({"mean": [0.5, 0.5, True]}, "mean is three numbers"),
        ({"mean": [0.5, 0.5, "NaN"]}, "mean is three numbers"),
        ({"mean": [0.5, 0.5, 10**400]}, "mean is three numbers"),
        ({"std": [0.5, 0.5, 0]}, "std is three numbers above 0"),
        ({"channel_order": "RGB"}, "channel_order is rgb or bgr, not 'RGB'"),
        ({"channel_order": ["rgb"]}, "channel_order is rgb or bgr"),
        ({"image_size": 224.0}, "image_size is a whole number"),
        ({"image_size": 3}, "needs images of at least"),
        ({"image_size": 10**40}, "is at most 100,000 pixels"),
        ({"crop_fraction": 0}, "crop_fraction is a number above 0"),
        ({"interpolation": "nearest"}, "interpolation is bilinear or bicubic"),
        ({"classes": "cifar"}, "classes is imagenet, imagenet_background or"),
        ({"classes": ["cat", "cat"]}, "no two of them the same"),
        ({"classes": ["cat", ""]}, "classes is"),
        ({"task": "detection"}, "task is one of single_label"),
        ({"thresholds": [2]}, "thresholds is numbers from 0 to 1"),
        ({"temperature": 0}, "temperature is a number above 0"),
        ({"assumed": ["colour"]}, "assumed is a list"),
        ({"model": "resnet5"}, "there is no model 'resnet5'"),
        ({"model": 5}, "model is a registered name"),
        ({"options": {"widht": 1}}, "has no option 'widht=1'"),
        ({"options": {"dropout": "much"}}, "option 'dropout' of 'squeezenet1_1' is a number"),
        ({"options": {"dropout": [1]}}, "options is the model's options"),
    ],
)
def test_an_odd_description_is_refused_in_a_sentence_that_names_it(weights, change, reason):
    value = describe("squeezenet1_1", 1000).to_json() | change
    weights.with_suffix(".json").write_text(json.dumps(value))
    with pytest.raises(ModelError, match=r"net\.json cannot be read as a description") as refused:
        weight_description.find(weights)
    assert reason in str(refused.value)
    assert len(str(refused.value)) <= 300


@pytest.mark.parametrize("name", ["model", "options", "mean", "image_size", "classes"])
def test_a_description_that_lacks_a_field_is_refused(weights, name):
    value = describe("squeezenet1_1", 1000).to_json()
    del value[name]
    weights.with_suffix(".json").write_text(json.dumps(value))
    with pytest.raises(ModelError, match=f"it lacks {name}"):
        weight_description.find(weights)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"3", b"[" * 100_000, b'{"mean": NaN}']
)
def test_a_damaged_description_is_refused(weights, content):
    weights.with_suffix(".json").write_bytes(content)
    with pytest.raises(
        ModelError, match=r"net\.json cannot be read as a description of weights: it"
    ):
        weight_description.find(weights)


def test_a_description_cut_short_anywhere_is_refused(weights):
    path = weight_description.write(describe("squeezenet1_1", 1000), weights)
    whole = path.read_bytes().rstrip()
    for length in range(0, len(whole), 17):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match="cannot be read as a description"):
            weight_description.find(weights)


@pytest.fixture
def drawn(weights):
    """SqueezeNet of two classes, drawn at random."""
    pretrained.save(models.create("squeezenet1_1", 2, rngs=nnx.Rngs(params=0)), weights)
    return weights


def import_weights(command_here, weights, out, *flags):
    return command_here(
        "models.pretrained", "--model=squeezenet1_1", f"--weights={weights}", f"--out={out}", *flags
    )


def test_flags_of_the_import_are_written_and_changed_by_the_next(command_here, drawn, tmp_path):
    (tmp_path / "names.txt").write_text("cat\n\n great dane \n")
    first, second = tmp_path / "first", tmp_path / "second"
    flags = ("--mean=0.5", "--image_size=128", f"--classes={tmp_path / 'names.txt'}")
    ended = import_weights(command_here, drawn, first, *flags)
    assert ended.returncode == 0, ended.stderr
    assert f"wrote {first / 'weights.json'}" in ended.stdout
    assert "assumed, as neither the file nor a flag says it: " in ended.stdout
    assert "std, channel_order, crop_fraction, interpolation (docs/weights.md)" in ended.stdout
    described = weight_description.find(first / "weights.safetensors")
    assert (described.mean, described.image_size) == ((0.5, 0.5, 0.5), 128)
    assert described.classes == ("cat", "great dane")
    flags = ("--std=0.1,0.2,0.3", "--crop_fraction=1", "--channel_order=bgr")
    ended = import_weights(command_here, first / "weights.safetensors", second, *flags)
    assert ended.returncode == 0, ended.stderr
    again = weight_description.find(second / "weights.safetensors")
    assert (again.std, again.crop_fraction) == ((0.1, 0.2, 0.3), 1)
    assert (again.mean, again.classes) == (described.mean, described.classes)
    assert "interpolation" in again.assumed
    assert not {"mean", "std", "channel_order", "crop_fraction", "classes"} & {*again.assumed}


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("--mean=1,2", "--mean is three numbers"),
        ("--std=a", "--std is three numbers"),
        ("--std=0", "std is three numbers above 0"),
        ("--image_size=big", "--image_size is a whole number of pixels, not 'big'"),
        ("--crop_fraction=2", "crop_fraction is a number above 0"),
        ("--classes=imagenet", "tells 2 classes apart, and 1000 are named"),
        ("--classes=nowhere.txt", "'nowhere.txt' cannot be read"),
        ("--epsilon=0.1", "model 'squeezenet1_1' has no option 'epsilon"),
    ],
)
def test_an_impossible_flag_is_refused_before_anything_is_written(
    command_here, drawn, tmp_path, flag, reason
):
    ended = import_weights(command_here, drawn, tmp_path / "out", flag)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert reason in ended.stderr
    assert not (tmp_path / "out").exists()
