"""Every form of the convolution is `lax.conv_general_dilated`: its output and both of its gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import models
from models import convolution, macs
from models.convolution import conv_general_dilated

LAYOUT = ("NHWC", "HWIO", "NHWC")

# Image height and width, channels, kernel, features, groups, stride, padding (height, width) and the form expected.
SHAPES = {
    "pointwise": ((5, 7), 6, (1, 1), 8, 1, 1, ((0, 0), (0, 0)), "patches"),
    "pointwise strided": ((9, 8), 6, (1, 1), 8, 1, 2, ((0, 0), (0, 0)), "patches"),
    "3x3": ((7, 7), 4, (3, 3), 5, 1, 1, ((1, 1), (1, 1)), "patches"),
    "3x3 strided, odd size": ((9, 7), 4, (3, 3), 5, 1, 2, ((1, 1), (1, 1)), "patches"),
    "3x3 of one pixel: eight taps see padding": ((1, 1), 4, (3, 3), 5, 1, 1, ((1, 1), (1, 1)), "patches"),
    "3x3 of two pixels, strided": ((2, 2), 4, (3, 3), 5, 1, 2, ((1, 1), (1, 1)), "patches"),
    "5x5 of two pixels": ((2, 1), 4, (5, 5), 3, 1, 1, ((2, 2), (2, 2)), "patches"),
    "1x7": ((6, 9), 4, (1, 7), 5, 1, 1, ((0, 0), (3, 3)), "patches"),
    "7x1": ((6, 9), 4, (7, 1), 5, 1, 1, ((3, 3), (0, 0)), "patches"),
    "7x1 of two pixels": ((2, 2), 4, (7, 1), 5, 1, 1, ((3, 3), (0, 0)), "patches"),
    "unequal padding": ((6, 5), 3, (3, 3), 4, 1, 2, ((0, 1), (1, 0)), "patches"),
    "7x7 stem": ((17, 15), 3, (7, 7), 4, 1, 2, ((3, 3), (3, 3)), "patches"),
    "depthwise": ((7, 6), 5, (3, 3), 5, 5, 1, ((1, 1), (1, 1)), "depthwise"),
    "depthwise 5x5 strided": ((9, 7), 5, (5, 5), 5, 5, 2, ((2, 2), (2, 2)), "depthwise"),
    "depthwise of one pixel": ((1, 1), 5, (5, 5), 5, 5, 1, ((2, 2), (2, 2)), "depthwise"),
    "two groups": ((7, 7), 6, (3, 3), 8, 2, 1, ((1, 1), (1, 1)), None),
    "depthwise with two outputs each": ((5, 5), 4, (3, 3), 8, 4, 1, ((1, 1), (1, 1)), None),
    "11x11": ((23, 23), 3, (11, 11), 4, 1, 4, ((2, 2), (2, 2)), None),
}  # fmt: skip


def arguments(name: str, dtype):
    (height, width), channels, kernel, features, groups, stride, padding, form = SHAPES[name]
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((2, height, width, channels)).astype(np.float32)
    kernel = generator.standard_normal((*kernel, channels // groups, features)).astype(np.float32)
    options = {
        "window_strides": (stride, stride),
        "padding": padding,
        "dimension_numbers": LAYOUT,
        "feature_group_count": groups,
    }
    return jnp.asarray(inputs, dtype), jnp.asarray(kernel, dtype), options, form


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", SHAPES)
def test_a_convolution_and_its_gradients_are_xlas(name, dtype, quickly):
    inputs, kernel, options, _ = arguments(name, dtype)

    def with_gradients(convolve, inputs, kernel):
        out, pull = jax.vjp(lambda *operands: convolve(*operands, **options), inputs, kernel)
        # Gradients of unequal weight, so that a shifted tap shows.
        return out, *pull(jnp.cos(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape))

    ours = quickly(functools.partial(with_gradients, conv_general_dilated), inputs, kernel)
    xlas = quickly(functools.partial(with_gradients, lax.conv_general_dilated), inputs, kernel)
    tolerance = 1e-5 if dtype == jnp.float32 else 3e-2
    for mine, expected in zip(ours, xlas, strict=True):
        assert (mine.shape, mine.dtype) == (expected.shape, expected.dtype)
        mine, expected = np.asarray(mine, np.float32), np.asarray(expected, np.float32)
        assert np.abs(mine - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_takes_the_form_meant_for_it(name):
    inputs, kernel, options, expected = arguments(name, jnp.float32)
    form = convolution._cpu_form(
        inputs.shape,
        inputs.dtype,
        kernel.shape,
        options["window_strides"],
        options["padding"],
        options["feature_group_count"],
    )
    forms = {"patches": convolution._patches_times_kernel, "depthwise": convolution._depthwise}
    assert getattr(form, "func", None) is forms.get(expected)


def test_large_feature_maps_are_left_to_xla():
    shape = (32, 112, 112, 64)
    form = convolution._cpu_form(
        shape, jnp.float32, (3, 3, 64, 64), (1, 1), ((1, 1), (1, 1)), groups=1
    )
    assert form is None


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_padding_by_name_is_xlas(padding):
    inputs, kernel = jnp.ones((1, 6, 5, 2)), jnp.ones((3, 3, 2, 4))
    ours = conv_general_dilated(inputs, kernel, (2, 2), padding, dimension_numbers=LAYOUT)
    xlas = lax.conv_general_dilated(inputs, kernel, (2, 2), padding, dimension_numbers=LAYOUT)
    np.testing.assert_allclose(ours, xlas, rtol=1e-6)


def test_other_layouts_and_dilations_are_xlas():
    inputs, kernel = jnp.ones((1, 2, 6, 5)), jnp.ones((4, 2, 3, 3))
    ours = conv_general_dilated(inputs, kernel, (1, 1), "SAME")
    np.testing.assert_array_equal(ours, lax.conv_general_dilated(inputs, kernel, (1, 1), "SAME"))
    inputs, kernel = jnp.ones((1, 6, 5, 2)), jnp.ones((3, 3, 2, 4))
    options = {"rhs_dilation": (2, 2), "dimension_numbers": LAYOUT}
    ours = conv_general_dilated(inputs, kernel, (1, 1), "SAME", **options)
    xlas = lax.conv_general_dilated(inputs, kernel, (1, 1), "SAME", **options)
    np.testing.assert_array_equal(ours, xlas)


@pytest.mark.parametrize(
    ("platforms", "expected"),
    [
        (("cpu",), {"dot_general"}),
        (("tpu",), {"conv_general_dilated"}),
        (("cuda", "tpu"), {"conv_general_dilated"}),
        (("cpu", "cuda"), {"dot_general", "conv_general_dilated"}),
    ],
)
def test_a_program_holds_the_form_of_the_platforms_it_is_traced_for(platforms, expected):
    inputs, kernel, options, _ = arguments("3x3", jnp.float32)
    with models.traced_for(*platforms):
        jaxpr = jax.make_jaxpr(lambda *operands: conv_general_dilated(*operands, **options))(
            inputs, kernel
        )
    held = {equation.primitive.name for equation in _equations(jaxpr.jaxpr)}
    assert held & {"dot_general", "conv_general_dilated"} == expected
    assert ("cond" in held) == (len(expected) == 2)


def test_a_gradient_is_not_summed_over_devices_inside_a_conditional():
    inputs, kernel, options, _ = arguments("3x3", jnp.float32)

    def loss(inputs, kernel):
        return jnp.sum(conv_general_dilated(inputs, kernel, **options))

    text = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(inputs, kernel).as_text()
    assert "dot_general" in text
    assert "stablehlo.case" not in text


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for body, _ in macs.inner(equation):
            yield from _equations(body)
        if equation.primitive.name == "cond":
            for branch in equation.params["branches"]:
                yield from _equations(branch.jaxpr)
