"""Parameters and MACs at 1000 classes are the published ones."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax import lax

import models
from models.convolution import conv_general_dilated
from models.layers import Conv

# Parameters and GMACs from torchvision's weights metadata, auxiliary heads included in the parameters.
TORCHVISION = {
    "alexnet": (61_100_840, 0.714),
    "vgg11": (132_863_336, 7.609),
    "vgg11_bn": (132_868_840, 7.609),
    "vgg13": (133_047_848, 11.308),
    "vgg13_bn": (133_053_736, 11.308),
    "vgg16": (138_357_544, 15.47),
    "vgg16_bn": (138_365_992, 15.47),
    "vgg19": (143_667_240, 19.632),
    "vgg19_bn": (143_678_248, 19.632),
    "googlenet": (13_004_888, 1.498),
    "inception_v3": (27_161_264, 5.713),
    "resnet18": (11_689_512, 1.814),
    "resnet34": (21_797_672, 3.664),
    "resnet50": (25_557_032, 4.089),
    "resnet101": (44_549_160, 7.801),
    "resnet152": (60_192_808, 11.514),
    "squeezenet1_0": (1_248_424, 0.819),
    "squeezenet1_1": (1_235_496, 0.349),
    "mobilenet_v2": (3_504_872, 0.301),
    "mobilenet_v3_large": (5_483_032, 0.217),
    "mobilenet_v3_small": (2_542_856, 0.057),
}
# Parameters, and MACs in millions where known.
PAPERS = {
    "alexnet_2012": (60_965_224, None),
    "alexnet_2012:groups=1": (62_378_344, None),
    "googlenet:auxiliary=false": (6_624_904, None),
    "googlenet_paper": (13_378_280, 1583),
    "googlenet_paper:auxiliary=false": (6_998_552, 1583),
    "resnet50_v1": (25_557_032, 3858),
    # ResNets without the parameters of their projections.
    "plain18": (11_689_512 - 173_824, None),
    "plain34": (21_797_672 - 173_824, None),
    "squeezenet1_0_bypass": (1_248_424, 819),
}
# Millions of MACs at 224, 192, 160 and 128, by width; tables 6 and 7 of the paper.
MOBILENET_V1 = {
    1.0: (4_231_976, (569, 418, 291, 186)),
    0.75: (2_585_560, (325, 239, 166, 107)),
    0.5: (1_331_592, (150 - 0.5, 110, 77 - 0.5, 49)),
    0.25: (470_072, (41, 30, 21, 14)),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_parameters_and_macs_are_torchvisions(name, summary_of):
    parameters, gmacs = TORCHVISION[name]
    assert summary_of(name).parameters == parameters
    assert summary_of(name).macs / 1e9 == pytest.approx(gmacs, abs=0.0005)


@pytest.mark.parametrize("spec", PAPERS)
def test_parameters_and_macs_are_the_papers(spec, summary_of):
    parameters, mmacs = PAPERS[spec]
    assert summary_of(spec).parameters == parameters
    assert mmacs is None or round(summary_of(spec).macs / 1e6) == mmacs


@pytest.mark.parametrize("width", MOBILENET_V1)
def test_mobilenet_v1_has_the_papers_numbers_for_every_width_and_resolution(width):
    parameters, mmacs = MOBILENET_V1[width]
    model = models.create_abstract("mobilenet_v1", width=width)
    assert models.count_parameters(model) == parameters
    counts = [models.count_macs(model, size) / 1e6 for size in (224, 192, 160, 128)]
    assert counts == pytest.approx(mmacs, abs=0.55)


def test_mobilenet_v1_at_full_width_has_568_740_352_macs(summary_of):
    assert summary_of("mobilenet_v1").macs == 568_740_352


def test_mobilenet_v1_of_standard_convolutions_has_the_papers_numbers(summary_of):
    # Table 4: 29.3 million parameters, 4866 million multiply-adds, which leave the dense layer out.
    standard = summary_of("mobilenet_v1:depthwise=false")
    assert round(standard.parameters / 1e6, 1) == 29.3
    assert round((standard.macs - 1024 * 1000) / 1e6) == 4866


@pytest.mark.parametrize("name", [name for name in models.names() if "mobilenet" in name])
def test_a_width_multiplier_is_any_positive_number(name):
    widths = (0.01, 0.35, 1.1, 2.0)
    counts = [models.count_parameters(models.create_abstract(name, width=w)) for w in widths]
    assert 0 < counts[0] < counts[1] < counts[2] < counts[3]


def test_mobilenet_v2_keeps_its_last_convolution_below_full_width():
    for width, features in ((0.35, 1280), (1.0, 1280), (1.4, 1792)):
        model = models.create_abstract("mobilenet_v2", width=width)
        assert getattr(model.classifier, "1").in_features == features


@pytest.mark.parametrize("width", [0.0, -1.0, float("inf"), float("nan")])
def test_a_width_that_is_not_positive_is_refused(width):
    with pytest.raises(models.ModelError, match="above 0"):
        models.create_abstract("mobilenet_v2", width=width)


def macs(function, *shapes):
    class Model(models.Classifier):
        def stages(self):
            return {"all": lambda x, mode: function(x)}

        def classify(self, features, mode):
            return features

    return models.count_macs(Model(), *shapes)


def test_a_convolution_counts_all_its_taps_padding_included():
    rngs = nnx.Rngs(0)
    conv = Conv(3, 8, 5, strides=2, padding=2, rngs=rngs)
    assert macs(conv, 9) == 5 * 5 * 8 * 5 * 5 * 3
    depthwise = Conv(3, 3, 3, padding=1, groups=3, rngs=rngs)
    assert macs(depthwise, 4) == 4 * 4 * 3 * 9


def test_macs_count_the_accelerators_form_once_and_repeat_loops():
    kernel = jnp.ones((3, 3, 3, 3))

    def looped(x):
        layout = ("NHWC", "HWIO", "NHWC")

        def step(_, y):
            return conv_general_dilated(y, kernel, (1, 1), "SAME", dimension_numbers=layout)

        return lax.fori_loop(0, 5, step, x)

    def scanned(x):
        return lax.scan(lambda y, _: (y @ jnp.ones((3, 3)), None), x, length=7)[0]

    assert macs(scanned, 4) == 7 * 16 * 9
    assert macs(looped, 4) == 5 * 16 * 3 * 27


def test_a_loop_without_a_known_length_is_not_counted_silently():
    def until(x):
        return lax.while_loop(lambda y: y.sum() < 9, lambda y: y + 1, x)

    with pytest.raises(NotImplementedError, match="while"):
        macs(until, 4)


def test_images_too_small_to_count_are_refused():
    with pytest.raises(models.ModelError, match="at least 63x63"):
        models.count_macs("alexnet", 62)


@pytest.mark.parametrize("name", ["googlenet", "mobilenet_v3_small", "vgg11"])
def test_macs_are_those_of_the_summary(name, summary_of):
    assert models.count_macs(name) == summary_of(name).macs


def test_macs_of_a_model_with_values_are_those_of_its_name():
    model = models.create("squeezenet1_1", 10)
    assert models.count_macs(model, 64) == models.count_macs("squeezenet1_1", 64, num_classes=10)
    assert jax.tree.leaves(nnx.state(model))[0].dtype == jnp.float32


@pytest.mark.parametrize(
    ("name", "millions"),
    [("resnet18", 2.48), ("resnet50", 11.11), ("resnet101", 16.23), ("vgg16", 13.56)],
)
def test_activations_are_those_that_timm_lists(name, millions):
    activations = models.count_activations(models.create_abstract(name, 1000), 224)
    assert activations / 1e6 == pytest.approx(millions, abs=0.006)


def test_weight_bytes_are_four_for_each_parameter_and_batch_statistic_of_inference():
    # ResNet-18 has 4,800 channels under batch norm, each with a mean and a variance.
    assert models.count_weight_bytes(models.create_abstract("resnet18", 1000)) == 4 * (
        11_689_512 + 2 * 4_800
    )
    with_heads, without = (
        models.create_abstract(f"googlenet_paper:auxiliary={given}", 1000)
        for given in ("true", "false")
    )
    assert models.count_weight_bytes(with_heads) == models.count_weight_bytes(without)
