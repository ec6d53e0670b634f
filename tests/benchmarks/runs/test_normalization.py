import pytest

from benchmarks.config.fields import default_config
from benchmarks.errors import ConfigError
from benchmarks.runs import normalization, validation


def configured(model, batch_size=32, **fields):
    config = default_config()
    config.update({"model": model, "batch_size": batch_size, "image_size": "32"})
    config.update(fields)
    return config


@pytest.mark.parametrize(
    ("model", "parts", "fits"),
    [
        ("mobilenet_v1:width=0.25", 4, True),
        ("mobilenet_v1:width=0.25", 8, False),  # 4 images, of a pixel each in the last maps
        ("vgg16_bn", 8, True),  # 4 images, of 2 x 2 pixels
        ("vgg16_bn", 32, False),
        ("squeezenet1_1", 32, True),  # it has no batch norm
    ],
)
def test_parts_have_enough_values_for_batch_norm(model, parts, fits):
    config = configured(model, accumulation=parts)
    if fits:
        validation.validate(config)
    else:
        with pytest.raises(ConfigError, match=r"batch norm needs 8 values or more .* fewer parts"):
            validation.validate(config)


def test_larger_images_have_more_values():
    config = configured("mobilenet_v1:width=0.25", accumulation=8, image_size="64")
    validation.validate(config)
    config.progressive_sizes = (32,)
    with pytest.raises(ConfigError, match="4 images at a time"):
        validation.validate(config)


def test_a_channel_of_a_single_value_is_refused_without_parts():
    with pytest.raises(
        ConfigError, match=r"batch norm needs 2 .* 1 image at a time .* has 1: use a"
    ):
        validation.validate(configured("resnet18", batch_size=1))
    validation.validate(configured("resnet18", batch_size=1, image_size="64"))


def test_frozen_stages_need_no_statistics():
    config = configured("mobilenet_v1:width=0.25", accumulation=16)
    config.update({"init_from": "weights.pth", "transfer": {"frozen_stages": "all"}})
    validation.validate(config)


def test_statistics_of_each_device_are_of_smaller_parts():
    config = configured("mobilenet_v1:width=0.25", batch_norm_scope="device")
    normalization.check(config, accumulation=2, devices=2)
    with pytest.raises(ConfigError, match="4 images at a time"):
        normalization.check(config, accumulation=2, devices=4)


def test_auxiliary_heads_count_though_only_training_runs_them():
    config = configured("inception_v3", image_size="299", accumulation=8)
    with pytest.raises(ConfigError, match=r"4 images at a time AuxLogits.conv1.bn .* has 4"):
        validation.validate(config)
    validation.validate(
        configured("inception_v3:auxiliary=false", image_size="299", accumulation=8)
    )
