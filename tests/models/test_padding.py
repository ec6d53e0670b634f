"""TensorFlow's padding is computed as TensorFlow documents it, and each family's options change what they must.

The convolutions here are NumPy loops over windows, in float64, and share no code with those of the models.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import models
from models.inception_v3 import Module, ModuleA
from models.layers import Conv, Mode
from models.padding import same_pads
from models.summary import summarize
from models.windows import AveragePool, MaxPool

PADDED = [name for name in models.names() if "padding" in models.info(name).options]
# Convolutions of stride 2, whose paddings agree where the picture's side is odd.
MOBILENETS = [name for name in PADDED if name.startswith("mobilenet")]
_PADDINGS = ("torch", "tensorflow")


def documented_pads(size: int, window: int, stride: int) -> tuple[int, int]:
    """The formula of TensorFlow's guide, "SAME padding" (tf.nn, notes on padding)."""
    along = max(window - stride, 0) if size % stride == 0 else max(window - size % stride, 0)
    return along // 2, along - along // 2


def windows_of(x: np.ndarray, window: int, stride: int, value: float = 0.0):
    """Yields (row, column, what the window there sees of x) with TensorFlow's SAME padding."""
    pads = [documented_pads(size, window, stride) for size in x.shape[1:3]]
    padded = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=value)
    for row, column in itertools.product(*(range(-(-size // stride)) for size in x.shape[1:3])):
        top, left = row * stride, column * stride
        yield (
            row,
            column,
            (slice(None), slice(top, top + window), slice(left, left + window)),
            padded,
        )


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int, depthwise: bool) -> np.ndarray:
    """Returns the convolution [batch, height, width, features] of x with a kernel [height, width, in, out]."""
    out = np.zeros((len(x), *(-(-size // stride) for size in x.shape[1:3]), kernel.shape[-1]))
    for row, column, place, padded in windows_of(x, len(kernel), stride):
        seen = padded[place]
        if depthwise:
            out[:, row, column] = (seen * kernel[:, :, 0]).sum((1, 2))
        else:
            out[:, row, column] = np.tensordot(seen, kernel, axes=3)
    return out


def gradients(x: np.ndarray, kernel: np.ndarray, stride: int, depthwise: bool, weights: np.ndarray):
    """Returns the gradients of sum(weights * convolve(x, kernel)) for x and for the kernel."""
    pads = [documented_pads(size, len(kernel), stride) for size in x.shape[1:3]]
    for_padded = np.zeros(np.pad(x, ((0, 0), *pads, (0, 0))).shape)
    for_kernel = np.zeros(kernel.shape)
    for row, column, place, padded in windows_of(x, len(kernel), stride):
        weight = weights[:, row, column]
        if depthwise:
            for_padded[place] += weight[:, None, None] * kernel[:, :, 0]
            for_kernel[:, :, 0] += (padded[place] * weight[:, None, None]).sum(0)
        else:
            for_padded[place] += np.einsum("bf,hwcf->bhwc", weight, kernel)
            for_kernel += np.einsum("bhwc,bf->hwcf", padded[place], weight)
    (top, _), (left, _) = pads
    height, width = x.shape[1:3]
    return for_padded[:, top : top + height, left : left + width], for_kernel


@pytest.mark.parametrize("size", [1, 2, 5, 8, 9, 224])
@pytest.mark.parametrize(("window", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (5, 2), (7, 2)])
def test_same_padding_is_the_documented_formula(size, window, stride):
    assert same_pads(size, window, stride) == documented_pads(size, window, stride)


@pytest.mark.parametrize("depthwise", [False, True], ids=["full", "depthwise"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("sides", [(8, 6), (9, 7), (8, 7), (2, 1)], ids=str)
def test_a_convolution_and_its_gradients_are_tensorflows(sides, kernel, stride, depthwise, quickly):
    generator = np.random.default_rng(0)
    channels, features = (4, 4) if depthwise else (3, 5)
    groups = channels if depthwise else 1
    conv = Conv(
        channels,
        features,
        kernel,
        strides=stride,
        padding="SAME",
        groups=groups,
        use_bias=False,
        rngs=nnx.Rngs(0),
    )
    x = generator.standard_normal((2, *sides, channels)).astype(np.float32)
    filters = generator.standard_normal(conv.kernel.shape).astype(np.float32)
    expected = convolve(x, filters, stride, depthwise)
    weights = generator.standard_normal(expected.shape).astype(np.float32)
    graph, state = nnx.split(conv)

    def ours(x, filters):
        return nnx.merge(graph, jax.tree.map(lambda kernel: filters, state))(x)

    def with_gradients(x, filters, weights):
        out, pull = jax.vjp(ours, x, filters)
        return out, *pull(weights)

    out, for_x, for_filters = quickly(with_gradients, x, filters, weights)
    np.testing.assert_allclose(out, expected, atol=2e-5)
    wanted = gradients(x, filters, stride, depthwise, weights)
    np.testing.assert_allclose(for_x, wanted[0], atol=5e-5)
    np.testing.assert_allclose(for_filters, wanted[1], atol=5e-5)


def test_a_replaced_head_keeps_its_same_padding():
    conv = Conv(3, 8, 3, strides=2, padding="SAME", rngs=nnx.Rngs(0)).resized(5, nnx.Rngs(0))
    assert (conv.padding, conv(jnp.zeros((1, 6, 7, 3))).shape) == ("SAME", (1, 3, 4, 5))


@pytest.mark.parametrize("sides", [(8, 6), (9, 7), (2, 1)], ids=str)
@pytest.mark.parametrize(("window", "stride"), [(3, 2), (2, 2), (3, 1)])
def test_same_max_pooling_is_tensorflows(sides, window, stride):
    x = np.random.default_rng(1).standard_normal((2, *sides, 3)).astype(np.float32)
    out = np.asarray(MaxPool(window, stride, padding="SAME")(jnp.asarray(x)))
    for row, column, place, padded in windows_of(x, window, stride, -np.inf):
        np.testing.assert_array_equal(out[:, row, column], padded[place].max((1, 2)))
    assert out.shape[1:3] == tuple(-(-side // stride) for side in sides)


@pytest.mark.parametrize("sides", [(8, 6), (9, 7), (2, 1), (1, 1)], ids=str)
def test_tensorflows_average_leaves_padding_out(sides, quickly):
    x = np.random.default_rng(2).standard_normal((2, *sides, 3)).astype(np.float32)
    pool = AveragePool(3, 1, padding=1, count_padding=False)
    out = np.asarray(pool(jnp.asarray(x)))
    for row, column, place, padded in windows_of(x, 3, 1, np.nan):
        np.testing.assert_allclose(
            out[:, row, column], np.nanmean(padded[place], (1, 2)), atol=1e-6
        )
    # Each pixel is in windows whose shares of it add up: all of the mean's weight, and no more, is on pixels.
    grown = quickly(jax.grad(lambda x: pool(x).sum()), x)
    assert float(grown.sum()) == pytest.approx(out.size, rel=1e-5)


def test_a_picture_smaller_than_a_window_is_one_window():
    x = np.random.default_rng(3).standard_normal((1, 2, 1, 3)).astype(np.float32)
    np.testing.assert_array_equal(MaxPool(3, 2)(jnp.asarray(x))[:, 0, 0], x.max((1, 2)))
    assert MaxPool(3, 2)(jnp.zeros((1, 8, 9, 1))).shape == (1, 3, 4, 1)


def mobilenet_v1_in_numpy(tensors, images: np.ndarray, epsilon: float) -> np.ndarray:
    """Returns logits of MobileNet v1 by timm's names, each convolution padded as TensorFlow documents it."""

    def layer(x, convolution, norm, stride=1, depthwise=False):
        kernel = tensors[f"{convolution}.weight"].transpose(2, 3, 1, 0)
        x = convolve(x, kernel, stride, depthwise)
        scale = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"] + epsilon)
        x = (x - tensors[f"{norm}.running_mean"]) * scale + tensors[f"{norm}.bias"]
        return np.clip(x, 0, 6)

    x = layer(images.astype(np.float64), "conv_stem", "bn1", stride=2)
    for stage, blocks in enumerate((1, 2, 2, 6, 2)):
        for block in range(blocks):
            name = f"blocks.{stage}.{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            x = layer(x, f"{name}.conv_dw", f"{name}.bn1", stride, depthwise=True)
            x = layer(x, f"{name}.conv_pw", f"{name}.bn2")
    return x.mean((1, 2)) @ tensors["classifier.weight"].T + tensors["classifier.bias"]


@pytest.mark.parametrize("size", [32, 45, 50])
def test_mobilenet_v1_is_tensorflows_network(size, seeded):
    model = seeded.model("mobilenet_v1:width=0.25", 10)
    images = seeded.images(2, size)
    tensors = models.pretrained.state_dict(model)
    expected = mobilenet_v1_in_numpy(tensors, images, epsilon=1e-3)
    logits = np.asarray(seeded.run(model, lambda model, images: model(images), images))
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()


def logits_of(seeded, spec: str, images: np.ndarray) -> np.ndarray:
    return np.asarray(
        seeded.run(seeded.model(spec, 10), lambda model, images: model(images), images)
    )


@pytest.mark.parametrize(
    "name",
    [
        # They are made of the same convolutions, of which the next test sees the padding.
        pytest.param(name, marks=[pytest.mark.slow] * name.startswith("mobilenet_v3"))
        for name in MOBILENETS
    ],
)
def test_paddings_agree_where_every_halved_side_is_odd_and_nowhere_else(name, seeded):
    def logits(padding, size):
        return logits_of(seeded, f"{name}:padding={padding}", seeded.images(1, size))

    # 33, 17, 9, 5 and 3 are odd.
    np.testing.assert_allclose(logits("torch", 33), logits("tensorflow", 33), atol=1e-6)
    difference = np.abs(logits("torch", 32) - logits("tensorflow", 32)).max()
    assert difference > 1e-3


@pytest.mark.parametrize("name", MOBILENETS)
def test_every_convolution_of_a_mobilenet_is_padded_by_its_option(name):
    def paddings(padding):
        model = models.create_abstract(name, 7, padding=padding)
        convolutions = [each for _, each in nnx.iter_modules(model) if isinstance(each, Conv)]
        assert sum(each.strides == (2, 2) for each in convolutions) == 5
        return {each.padding for each in convolutions if each.kernel_size != (1, 1)}

    assert paddings("tensorflow") == {"SAME"}
    assert paddings("torch") <= {((1, 1), (1, 1)), ((2, 2), (2, 2))}


def test_squeezenets_paddings_agree_where_no_window_ends_outside(seeded):
    def both(size):
        images = seeded.images(1, size)
        return [logits_of(seeded, f"squeezenet1_1:padding={p}", images) for p in _PADDINGS]

    # The pools see 31, 15 and 7 pixels, and then 16, 8 and 4, or 7 and 3.
    np.testing.assert_array_equal(*both(63))
    torch, tensorflow = both(33)
    assert np.abs(torch - tensorflow).max() > 1e-3 * np.abs(torch).max()


@pytest.mark.parametrize("padding", ["torch", "tensorflow"])
def test_inceptions_averages_are_those_of_its_padding(padding, quickly):
    whole = models.create_abstract("inception_v3", 7, padding=padding)
    modules = [each for each in vars(whole).values() if isinstance(each, Module)]
    assert (len(modules), {each.padding for each in modules}) == (11, {padding})

    module = ModuleA(4, 8, rngs=nnx.Rngs(0))
    module.padding = padding
    x = np.random.default_rng(4).standard_normal((1, 5, 6, 4)).astype(np.float32)
    pool = AveragePool(3, 1, padding=1, count_padding=padding == "torch")
    projected = quickly(lambda x: module.branch_pool(pool(x), Mode()), x)
    np.testing.assert_array_equal(quickly(lambda x: module(x, Mode()), x)[..., -8:], projected)


def test_googlenets_stem_and_pools_are_padded_as_tf_slims():
    model = models.create_abstract("googlenet:padding=tensorflow", 7)
    assert model.conv1.conv.padding == "SAME"
    pools = [model.maxpool1, model.maxpool2, model.maxpool3, model.maxpool4]
    assert {pool.padding for pool in pools} == {"SAME"}
    assert not any(pool.ceil_mode for pool in pools)
    # Of 113 and 57 pixels, ceil mode makes 56 and 28 and SAME makes 57 and 29.
    sides = [
        [stage.output_shape[0] for stage in summarize(f"googlenet:padding={p}", 225).stages[:2]]
        for p in _PADDINGS
    ]
    assert sides == [[28, 28], [29, 29]]


@pytest.mark.parametrize("name", PADDED)
@pytest.mark.parametrize("padding", ["torch", "tensorflow"])
def test_the_smallest_picture_has_logits_whatever_the_padding(name, padding):
    spec = f"{name}:padding={padding}"
    model = models.create_abstract(spec, 7)
    size = models.info(name).min_size
    graph, state = nnx.split(model)
    for side in (size, size + 1):
        images = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
        logits = jax.eval_shape(
            lambda state, images: nnx.merge(graph, state)(images), state, images
        )
        assert logits.shape == (2, 7)
    assert models.count_macs(spec, size) > 0


@pytest.mark.parametrize("name", MOBILENETS)
def test_padding_leaves_macs_parameters_and_receptive_fields_as_they_are(name, summary_of):
    torch, tensorflow = (summary_of(f"{name}:padding={p}") for p in ("torch", "tensorflow"))
    assert torch.layers == tensorflow.layers
    assert torch.stages == tensorflow.stages
    assert (torch.macs, torch.parameters) == (tensorflow.macs, tensorflow.parameters)


def test_floor_pooling_leaves_macs_out(summary_of):
    # At 224 pixels the pools of SqueezeNet 1.0 see 109, 54 and 27: of the second a window ends outside.
    sides = {
        padding: [
            layer.output_shape[0]
            for layer in summary_of(f"squeezenet1_0:padding={padding}").layers
            if layer.kind == "MaxPool"
        ]
        for padding in ("torch", "tensorflow")
    }
    assert sides == {"torch": [54, 27, 13], "tensorflow": [54, 26, 12]}


@pytest.mark.parametrize(
    "name", [name for name in models.names() if "epsilon" in models.info(name).options]
)
def test_epsilon_is_every_batch_norms(name):
    def epsilons(spec):
        model = models.create_abstract(spec, 7)
        return {
            module.epsilon
            for _, module in nnx.iter_modules(model)
            if isinstance(module, models.layers.BatchNorm)
        }

    assert epsilons(name) == {models.info(name).options["epsilon"]}
    assert epsilons(f"{name}:epsilon=0.01") == {0.01}


@pytest.mark.parametrize("name", PADDED)
def test_another_padding_is_refused(name):
    with pytest.raises(models.ModelError) as error:
        models.create_abstract(name, padding="same")
    assert str(error.value) == "padding is 'torch' or 'tensorflow', not 'same'."


@pytest.mark.parametrize("name", models.names())
def test_a_names_defaults_are_one_of_its_conventions(name):
    info = models.info(name)
    own = {
        option: info.options[option] for option in ("padding", "epsilon") if option in info.options
    }
    for library, options in info.conventions.items():
        assert options.keys() == own.keys(), library
    if own and info.family != "resnet":
        assert own in info.conventions.values()


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("mobilenet_v1", "tf-slim"),
        ("mobilenet_v2", "torchvision"),
        ("mobilenet_v3_large", "torchvision"),
        ("mobilenet_v3_small", "torchvision"),
        ("inception_v3", "torchvision"),
        ("googlenet", "torchvision"),
        ("resnet50", "torchvision"),
        ("squeezenet1_1", "torchvision"),
    ],
)
def test_a_names_defaults_are_the_convention_of_its_reported_figure(name, library):
    info = models.info(name)
    assert info.reported.source.lower().startswith(library)
    assert info.conventions[library].items() <= info.options.items()
