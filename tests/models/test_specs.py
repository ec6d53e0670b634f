"""A spec is a model or one short sentence, and its label is exact."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from isobudget.wording import quoted, shorten
from models.errors import LONGEST, fitting
from models.layers import BatchNorm, Dropout
from models.macs import count_macs
from models.summary import summarize

# Quick to make, and between them with every option that a model here has.
QUICK = ["mobilenet_v1", "mobilenet_v3_small", "alexnet_2012", "squeezenet1_1", "googlenet"]

numerals = st.one_of(
    st.sampled_from(
        [*("nan", "inf", "-inf", "1e400", "-1e400", "1e-400", "0", "-0", "-0.0", "1e300", "1e18"), "9" * 30, "9" * 5000]
    ),
    st.floats().map(repr),
    st.integers().map(str),
)  # fmt: skip
values = st.one_of(
    numerals, st.sampled_from(["", " ", "true", "False", "=", "None", "0x1", "1_0"]), st.text()
)


def check_sentence(text: str) -> None:
    assert len(text.splitlines()) == 1
    assert text.endswith((".", "?"))
    assert len(text) <= LONGEST


@st.composite
def specs(draw) -> str:
    name = draw(st.sampled_from(QUICK))
    options = draw(
        st.lists(
            st.tuples(st.sampled_from([*models.info(name).options, "", "depth"]), values),
            max_size=3,
        )
    )
    return f"{name}:" + ",".join(f"{option}={value}" for option, value in options)


@settings(max_examples=100, deadline=None)
@given(specs())
def test_a_spec_makes_a_model_or_is_one_sentence(spec):
    try:
        model = models.create_abstract(spec, 3)
    except models.ModelError as error:
        check_sentence(str(error))
    else:
        assert models.label(*models.parse(spec)) == model.spec
        assert models.create_abstract(model.spec, 3).spec == model.spec
        assert 0 < models.count_parameters(model) < 1e13


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.tuples(st.sampled_from(QUICK), st.text()).map(":".join)))
def test_any_text_is_a_spec_or_one_sentence(text):
    try:
        name, options = models.parse(text)
    except models.ModelError as error:
        check_sentence(str(error))
    else:
        assert models.parse(models.label(name, options))[0] == name


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_label_has_every_digit_of_its_numbers(width):
    text = models.label("mobilenet_v1", {"width": width})
    assert models.parse(text)[1].get("width", 1.0) == width


def test_widths_that_differ_in_their_last_digit_have_two_labels():
    width = 0.5
    for other in (math.nextafter(width, 1), 0.5000001, 0.50000001):
        spec = models.create_abstract(f"mobilenet_v1:width={other!r}").spec
        assert spec == f"mobilenet_v1:width={other!r}"
        assert spec != models.create_abstract("mobilenet_v1:width=0.5").spec
    single = models.create_abstract("mobilenet_v1", width=np.float32(0.1)).spec
    assert single == "mobilenet_v1:width=0.10000000149011612"


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ("width=0.5", "width=0.5"), ("width=0.50", "width=0.5"), ("width=0.25", "width=0.25"),
        ("width=.75", "width=0.75"), ("width=2.0", "width=2"), ("width=1e-5", "width=1e-05"),
        ("dropout=-0", "dropout=0"),
    ],
)  # fmt: skip
def test_labels_stay_short(given, label):
    assert models.create_abstract(f"mobilenet_v1:{given}").spec == f"mobilenet_v1:{label}"


def sentence(function, *arguments, **options) -> str:
    with pytest.raises(models.ModelError) as error:
        function(*arguments, **options)
    check_sentence(str(error.value))
    return str(error.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mobilenet_v1:width=nan", "option 'width' of 'mobilenet_v1' is a number, not 'nan'."),
        ("mobilenet_v1:width=1e400", "option 'width' of 'mobilenet_v1' is a number, not 'inf'."),
        ("mobilenet_v1:width=", "option 'width' of 'mobilenet_v1' is a number, not ''."),
        ("mobilenet_v2:width=0", "a width multiplier is a number above 0 and up to 100, not 0.0."),
        ("mobilenet_v2:width=101", "a width multiplier is a number above 0 and up to 100, not 101.0."),
        ("mobilenet_v1:width=1,width=2", "option 'width' of 'mobilenet_v1' is given twice."),
        ("alexnet:dropout=1", "a dropout rate is a number from 0 up to, but not including, 1, not 1.0."),
        ("alexnet:dropout=-0.1", "a dropout rate is a number from 0 up to, but not including, 1, not -0.1."),
        ("mobilenet_v3_small:epsilon=0", "batch norm's epsilon is a number above 0 and below 1, not 0.0."),
        ("alexnet_2012:groups=1.5", "option 'groups' of 'alexnet_2012' is a whole number, not '1.5'."),
        ("mobilenet_v1:depthwise=1", "option 'depthwise' of 'mobilenet_v1' is true or false, not '1'."),
        (
            "mobilenet_v1:it's=\\",
            "model 'mobilenet_v1' has no option 'it's=\\': its options are width=1, depthwise=true, dropout=0.001,"
            " padding=tensorflow, epsilon=0.001.",
        ),
        (None, "a model is given by its name, not by 'None'."),
    ],
)  # fmt: skip
def test_an_odd_value_is_told_as_it_was_written(spec, message):
    assert sentence(models.create_abstract, spec) == message


@pytest.mark.parametrize("value", [None, "0.5", True, [1], 10**400])
def test_an_option_in_python_has_the_type_of_its_default(value):
    message = sentence(models.create_abstract, "mobilenet_v1", width=value)
    assert message.startswith("option 'width' of 'mobilenet_v1' is ")
    sentence(models.create_abstract, "googlenet", auxiliary=1)
    sentence(models.create_abstract, "alexnet_2012", groups=1.0)
    assert models.create_abstract("mobilenet_v1", width=np.int64(1)).spec == "mobilenet_v1"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_option_is_infinite_or_nan(value):
    for name, option in (
        ("mobilenet_v1", "width"),
        ("alexnet", "dropout"),
        ("mobilenet_v3_small", "epsilon"),
    ):
        assert sentence(models.create_abstract, name, **{option: value})
        assert sentence(models.parse, f"{name}:{option}={value}")
    # Of parts that are not made, which cannot refuse it.
    options = {"auxiliary": False, "auxiliary_dropout": value}
    assert "is a number, not" in sentence(models.create_abstract, "googlenet", **options)


@pytest.mark.parametrize(
    "number", [0, -1, 1.5, math.nan, True, None, "3", 2**31, -(2**99), 10**4000]
)
def test_a_number_of_classes_is_a_whole_number(number):
    sentence(models.create_abstract, "squeezenet1_1", number)
    sentence(summarize, "squeezenet1_1", 64, number)


@pytest.mark.parametrize("size", [0, -1, 16, 64.5, math.nan, True, "64", 100_001, 10**30])
def test_an_image_has_whole_sides_of_a_size_that_fits(size):
    sentence(models.check_image_size, "squeezenet1_1", size)
    sentence(summarize, "squeezenet1_1", size)
    sentence(count_macs, "squeezenet1_1", size)
    sentence(count_macs, "squeezenet1_1", (64, size))


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, math.nan, math.inf])
def test_a_dropout_rate_leaves_something(rate):
    sentence(Dropout, rate)


@pytest.mark.parametrize("epsilon", [0, -1e-5, 1, math.nan, math.inf])
def test_an_epsilon_of_batch_norm_is_small(epsilon):
    sentence(BatchNorm, 3, epsilon=epsilon, rngs=None)


def test_messages_are_short_and_quote_what_was_given():
    assert quoted("it's\n\ud800 é") == "'it's\\n\\ud800 é'"
    assert shorten("abcdefghi", 5) == "ab…hi"
    assert len(fitting(lambda most: "x" * 1000 * most)) == LONGEST
    assert fitting(lambda most: "x" * most) == "x" * 100
