"""Every form of the convolution is `lax.conv_general_dilated`: its output and both of its gradients."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

import models
from models import convolution, convolution_forms, macs
from models.convolution import Forms, conv_general_dilated
from models.convolution_forms import FORMS, Window

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
    "3x3, unpadded": ((9, 8), 4, (3, 3), 5, 1, 1, ((0, 0), (0, 0)), "patches"),
    "3x3, unequal padding": ((7, 6), 4, (3, 3), 5, 1, 1, ((0, 2), (3, -1)), "patches"),
    "3x3 of many pixels and channels": ((60, 61), 64, (3, 3), 24, 1, 1, ((1, 1), (1, 1)), "winograd"),
    "depthwise": ((7, 6), 5, (3, 3), 5, 5, 1, ((1, 1), (1, 1)), "depthwise"),
    "depthwise 5x5 strided": ((9, 7), 5, (5, 5), 5, 5, 2, ((2, 2), (2, 2)), "depthwise"),
    "depthwise of one pixel": ((1, 1), 5, (5, 5), 5, 5, 1, ((2, 2), (2, 2)), "depthwise"),
    "depthwise, unpadded": ((8, 9), 5, (3, 3), 5, 5, 2, ((0, 0), (0, 0)), "depthwise"),
    "depthwise, unequal padding": ((7, 8), 5, (3, 3), 5, 5, 2, ((0, 2), (3, -1)), "depthwise"),
    "depthwise 2x2, every third": ((8, 10), 5, (2, 2), 5, 5, 3, ((1, 0), (0, 2)), "depthwise"),
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


SHARDED = """
import functools, jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from models.convolution import conv_general_dilated

convolve = functools.partial(conv_general_dilated, window_strides=(1, 1), padding=((1, 1), (1, 1)))
layout = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": 2}
mesh = Mesh(np.array(jax.devices()), "data")
pictures, everywhere = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))

def loss(inputs, kernel):
    return jnp.sum(jnp.square(convolve(inputs, kernel, **layout)))

gradients = jax.jit(
    jax.grad(loss, (0, 1)), in_shardings=(pictures, everywhere), out_shardings=(pictures, everywhere)
)
text = gradients.lower(jnp.ones((8, 5, 5, 6)), jnp.ones((3, 3, 3, 8))).compile().as_text()
assert "all-reduce" in text
assert "all-gather" not in text
"""


def test_each_of_four_devices_convolves_its_own_pictures_in_groups():
    flags = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def window(options):
    return Window(
        options["window_strides"], options["padding"], options["feature_group_count"], None
    )


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_takes_the_form_meant_for_it(name):
    inputs, kernel, options, expected = arguments(name, jnp.float32)
    forms = convolution.cpu_forms(inputs.shape, inputs.dtype, kernel.shape, window(options))
    assert {each.removeprefix("transposed_") for each in forms} == {expected or "xla"}


@pytest.mark.parametrize(
    ("inputs", "kernel", "dtype"),
    [
        ((8, 4, 4, 512), (3, 3, 512, 512), jnp.float32),  # few tiles
        ((32, 8, 8, 64), (3, 3, 64, 64), jnp.float32),  # little to compute
        ((64, 3, 3, 512), (3, 3, 512, 512), jnp.float32),  # half of them padding
        ((64, 7, 7, 16), (3, 3, 16, 64), jnp.float32),
        ((64, 32, 32, 64), (3, 3, 64, 64), jnp.bfloat16),  # whose sums would lose what they add
    ],
)
def test_where_winograd_would_not_pay_it_is_not_taken(inputs, kernel, dtype):
    moved = Window((1, 1), ((1, 1), (1, 1)))
    forms = convolution.cpu_forms(inputs, dtype, kernel, moved)
    assert not any("winograd" in form for form in forms)


@pytest.mark.parametrize(
    ("inputs", "kernel", "stride", "groups", "expected"),
    [
        ((8, 56, 56, 64), (3, 3, 64, 64), 1, 1, ("winograd", "transposed_winograd", "winograd")),
        ((4, 224, 224, 64), (3, 3, 64, 64), 1, 1, ("xla", "xla", "winograd")),
        ((4, 112, 112, 64), (5, 5, 64, 64), 1, 1, ("xla", "xla", "pictures")),
        ((8, 56, 56, 128), (3, 3, 128, 128), 2, 1, ("xla", "pictures", "pictures")),
        ((8, 224, 224, 3), (7, 7, 3, 64), 2, 1, ("xla", "xla", "xla")),
        (
            (8, 112, 112, 32),
            (3, 3, 1, 32),
            1,
            32,
            ("depthwise", "transposed_depthwise", "depthwise_pictures"),
        ),
    ],
)
def test_large_feature_maps_take_a_form_for_each_gradient(inputs, kernel, stride, groups, expected):
    pad = kernel[0] // 2
    moved = Window((stride, stride), ((pad, pad), (pad, pad)), groups)
    assert convolution.cpu_forms(inputs, jnp.float32, kernel, moved) == expected


# Each choice of forms that the rule makes, on shapes that are quick to compute.
PARTS = {
    "3x3": Forms("winograd", "transposed_winograd", "winograd"),
    "3x3 strided, odd size": Forms("xla", "pictures", "pictures"),
    "7x1": Forms("xla", "xla", "pictures"),
    "5x5 of two pixels": Forms("xla", "pictures", "pictures"),
    "unequal padding": Forms("xla", "pictures", "pictures"),
    "3x3 of one pixel: eight taps see padding": Forms(
        "winograd", "transposed_winograd", "winograd"
    ),
    "3x3, unpadded": Forms("winograd", "transposed_winograd", "winograd"),
    "3x3, unequal padding": Forms("xla", "xla", "winograd"),
    "depthwise": Forms("depthwise", "transposed_depthwise", "depthwise_pictures"),
    "depthwise 5x5 strided": Forms("depthwise", "transposed_depthwise", "depthwise_pictures"),
    "depthwise of one pixel": Forms("depthwise", "transposed_depthwise", "depthwise_pictures"),
    "depthwise, unpadded": Forms("depthwise", "transposed_depthwise", "depthwise_pictures"),
    "depthwise, unequal padding": Forms("depthwise", "transposed_depthwise", "depthwise_pictures"),
    "depthwise 2x2, every third": Forms("depthwise", "transposed_depthwise", "depthwise_pictures"),
}


@pytest.fixture
def in_parts(monkeypatch):
    """Returns (the convolution by parts, XLA's) of inputs and kernel, the pictures in two parts."""
    monkeypatch.setattr(convolution_forms, "_CACHE_BYTES", 1)
    monkeypatch.setattr(convolution_forms, "_WINOGRAD_BYTES", 1)
    monkeypatch.setattr(convolution_forms, "_DEPTHWISE_BYTES", 1)

    def functions(name, options):
        moved = window(options)
        return (
            functools.partial(convolution.in_forms, forms=PARTS[name], window=moved),
            functools.partial(FORMS["xla"], window=moved),
        )

    return functions


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(jnp.float32, 1e-5), (jnp.float64, 1e-12), (jnp.bfloat16, 3e-2)],
    ids=["float32", "float64", "bfloat16"],
)
@pytest.mark.parametrize("name", PARTS)
def test_gradients_by_parts_are_xlas(name, dtype, tolerance, in_parts):
    with jax.enable_x64(dtype == jnp.float64):
        inputs, kernel, options, _ = arguments(name, dtype)

        @functools.partial(jax.jit, static_argnums=0)
        def all_of_it(convolve, inputs, kernel):
            output, pull = jax.vjp(convolve, inputs, kernel)
            weights = jnp.cos(jnp.arange(output.size, dtype=output.dtype)).reshape(output.shape)
            change = jax.jvp(convolve, (inputs, kernel), (inputs[::-1], kernel[::-1]))[1]
            return output, *pull(weights), change

        ours, xlas = (all_of_it(each, inputs, kernel) for each in in_parts(name, options))
        for mine, expected in zip(ours, xlas, strict=True):
            assert (mine.shape, mine.dtype) == (expected.shape, expected.dtype)
            mine, expected = np.asarray(mine, np.float64), np.asarray(expected, np.float64)
            assert np.abs(mine - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("name", PARTS)
def test_what_is_done_with_gradients_is_done_by_parts_too(name, in_parts):
    inputs, kernel, options, _ = arguments(name, jnp.float32)

    @functools.partial(jax.jit, static_argnums=0)
    def all_of_it(convolve, inputs, kernel):
        def loss(inputs, kernel):
            return jnp.sum(jnp.sin(convolve(inputs, kernel)))

        def norm(inputs, kernel):
            return sum(jnp.vdot(each, each) for each in jax.grad(loss, (0, 1))(inputs, kernel))

        kernels = jnp.stack([kernel, 2 * kernel])
        return (
            *jax.grad(norm, (0, 1))(inputs, kernel),  # second derivatives
            *jax.grad(jax.checkpoint(loss), (0, 1))(inputs, kernel),
            jax.vmap(jax.grad(loss, 1), (None, 0))(inputs, kernels),
            jax.grad(loss)(inputs, kernel),  # of the inputs alone
            jax.grad(loss, 1)(inputs, kernel),  # of the kernel alone
        )

    ours, xlas = (all_of_it(each, inputs, kernel) for each in in_parts(name, options))
    for mine, expected in zip(ours, xlas, strict=True):
        scale = jnp.abs(expected).max()
        assert jnp.abs(mine - expected).max() <= 2e-5 * scale


@pytest.mark.parametrize("name", ["3x3", "7x1"])
def test_a_gradient_by_parts_can_be_exported(name, in_parts):
    inputs, kernel, options, _ = arguments(name, jnp.float32)
    ours, _ = in_parts(name, options)
    gradient = jax.jit(jax.grad(lambda inputs, kernel: jnp.sum(jnp.sin(ours(inputs, kernel))), 1))
    exported = export.deserialize(export.export(gradient)(inputs, kernel).serialize())
    np.testing.assert_allclose(exported.call(inputs, kernel), gradient(inputs, kernel), rtol=1e-6)


def test_winograd_can_be_exported_for_any_batch():
    inputs, kernel, options, _ = arguments("3x3 of many pixels and channels", jnp.float32)
    batch = jax.ShapeDtypeStruct(export.symbolic_shape("b, 60, 61, 64"), jnp.float32)
    convolve = jax.jit(functools.partial(conv_general_dilated, **options))
    exported = export.deserialize(export.export(convolve)(batch, kernel).serialize())
    three = jnp.concatenate([inputs, inputs[:1]])
    np.testing.assert_allclose(
        exported.call(three, kernel), convolve(three, kernel), rtol=1e-4, atol=1e-4
    )
    assert "stablehlo.convolution" not in exported.mlir_module()


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
