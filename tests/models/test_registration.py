"""A network of one's own is registered like those here; what cannot be a model is refused in one sentence."""

import re

import jax.numpy as jnp
import pytest
from flax import nnx

import models
from models import registry
from models.layers import Conv, Linear
from models.windows import global_average_pool

FAMILIES = {
    *("alexnet", "vgg", "googlenet", "inception_v3", "resnet", "squeezenet"),
    *("mobilenet_v1", "mobilenet_v2", "mobilenet_v3"),
}
PAPER = models.Paper("A network for tests", None, 2020)


class Net(models.Classifier):
    """One convolution and one dense layer."""

    def __init__(self, width: int, num_classes: int, *, dtype, rngs: nnx.Rngs):
        self.conv = Conv(3, width, 3, padding=1, dtype=dtype, rngs=rngs)
        self.fc = Linear(width, num_classes, dtype=dtype, rngs=rngs)

    def stages(self):
        return {"stem": self.conv}

    def classify(self, features, mode):
        return self.fc(global_average_pool(features))


def net(num_classes: int, dtype, rngs: nnx.Rngs, width: int = 4) -> Net:
    return Net(width, num_classes, dtype=dtype, rngs=rngs)


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))


def register(name="net", build=net, **facts):
    return models.register(name, **{"family": "net", "paper": PAPER, "min_size": 8} | facts)(build)


def test_a_registered_network_is_a_model_like_any_other():
    assert register(input_size=16) is net
    info = models.info("net:width=5")
    assert (info.name, info.family, info.paper, info.options) == ("net", "net", PAPER, {"width": 4})
    assert "net" in models.names()
    model = models.create("net:width=5", 3)
    assert model.spec == "net:width=5"
    assert model(jnp.zeros((2, 8, 8, 3))).shape == (2, 3)
    assert models.count_macs("net", num_classes=2) == 16 * 16 * 27 * 4 + 4 * 2
    with pytest.raises(models.ModelError, match="net needs images of at least 8x8 pixels"):
        models.check_image_size("net", 7)


HERE = [each for each in models.names() if models.info(each).build.__module__.startswith("models.")]


@pytest.mark.parametrize("name", HERE)
def test_every_model_here_declares_its_family(name):
    if name.startswith("plain"):
        family = "resnet"
    else:
        (family,) = (each for each in FAMILIES if name.startswith(each))
    assert models.info(name).family == family


def refused(message: str, *arguments, **facts) -> None:
    before = models.names()
    with pytest.raises(models.ModelError, match=message) as error:
        register(*arguments, **facts)
    assert re.fullmatch(r"[^\n]+[.?]", str(error.value))
    assert models.names() == before


def test_a_name_that_is_taken_is_refused_with_where_it_is_from():
    refused("there is a model 'resnet18' already, which models.resnet registers", "resnet18")
    register()
    refused(f"a model 'net' already, which {__name__} registers")


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", ".net", "-net", "net:wide", "a,b", "a=b", "a/b", "a\\b", "a b", "net\n"),
        *("é", "n" * 101, 5),
    ],
)
def test_a_name_that_is_no_part_of_a_spec_or_a_folder_is_refused(name):
    refused("a model cannot be named", name)


@pytest.mark.parametrize("name", ["a", "Net-2.5_b+", "3d", "n" * 100])
def test_other_names_are_taken(name):
    register(name)
    assert models.parse(name) == (name, {})


def no_default(num_classes, dtype, rngs, width):
    pass


def a_tuple(num_classes, dtype, rngs, widths=(1, 2)):
    pass


def nothing(num_classes, dtype, rngs, width=None):
    pass


def anything(num_classes, dtype, rngs, **options):
    pass


def an_image_size(num_classes, dtype, rngs, image_size=32):
    pass


def without_rngs(num_classes, dtype):
    pass


def by_position(num_classes, dtype, rngs, width=4, /):
    pass


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (no_default, "option 'width' of model 'net' needs a default that is .*, and has none"),
        (a_tuple, r"option 'widths' of model 'net' needs a default .*, and has \(1, 2\)\."),
        (nothing, "option 'width' of model 'net' needs a default .*, and has None"),
        (anything, "option 'options' of model 'net' needs a default"),
        (an_image_size, "model 'net' cannot have an option 'image_size'"),
        (without_rngs, "the function that builds 'net' has no parameter 'rngs'"),
        (by_position, "parameter 'num_classes' of model 'net' must be one that can be given by its name"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_written_in_a_spec_is_refused(build, message):
    refused(message, "net", build)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"family": ""}, "model 'net' needs a family"),
        ({"family": " "}, "model 'net' needs a family"),
        ({"family": None}, "model 'net' needs a family"),
        ({"paper": "arXiv"}, "the paper of model 'net' is a models.Paper, not 'arXiv'"),
        ({"min_size": 0}, "min_size of model 'net' is a whole number of pixels above 0, not 0"),
        ({"min_size": 7.5}, "min_size of model 'net' is a whole number of pixels above 0, not 7.5"),
        ({"min_size": True}, "min_size of model 'net' is a whole number"),
        ({"input_size": 0}, "input_size of model 'net' is a whole number of pixels above 0, not 0"),
        ({"input_size": 7}, "input_size of model 'net' is 7 pixels, below its min_size of 8"),
        ({"resize_size": 223}, "resize_size of model 'net' is 223 pixels, below its input_size of 224"),
        ({"mean": 0.5}, "mean of model 'net' is a tuple of 3 numbers, not 0.5"),
        ({"std": (1.0, 1.0)}, "std of model 'net' is a tuple of 3 numbers"),
        ({"std": (1.0, 0.0, 1.0)}, "std of model 'net' is 3 numbers above 0"),
        ({"reported": 0.7}, "accuracy reported of model 'net' is a models.Reported, not 0.7"),
        ({"reported": models.Reported(76.1, None, "me")}, "is a fraction from 0 to 1"),
        ({"published_options": {"depth": 3}}, "set 'depth', which is no option of it"),
        ({"conventions": {"keras": {"padding": "torch"}}}, "set 'padding', which is no option of it"),
        (
            {"reported": models.Reported(0.7, None, "me", options={"depth": 2})},
            "an accuracy reported of model 'net' set 'depth', which is no option of it",
        ),
        ({"inputsize": 32}, "an unknown fact 'inputsize': did you mean input_size?"),
        ({"options": {}}, "an unknown fact 'options': "),
        ({"wheels": 1}, "an unknown fact 'wheels': known are family, paper, min_size"),
    ],
)  # fmt: skip
def test_a_fact_that_no_model_can_have_is_refused(facts, message):
    refused(message, **facts)


def test_a_head_that_cannot_be_replaced_is_told_in_one_sentence():
    def build(num_classes, dtype, rngs):
        model = Net(4, num_classes, dtype=dtype, rngs=rngs)
        model.fc = nnx.Linear(4, num_classes, rngs=rngs)
        return model

    register(build=build)
    with pytest.raises(models.ModelError, match=r"^the head 'fc' of net is a flax\..*\.$"):
        models.replace_head(models.create("net", 3), 5, nnx.Rngs(0))


def test_a_model_that_is_no_classifier_is_refused_when_it_is_made():
    register(build=lambda num_classes, dtype, rngs: Linear(3, num_classes, rngs=rngs))
    with pytest.raises(
        models.ModelError, match=r"model 'net' is a Linear, which is not a models\.Classifier\."
    ):
        models.create("net")
