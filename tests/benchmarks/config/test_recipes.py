"""What `config.recipe = "paper"` sets, by the papers' own numbers."""

import importlib

import jax.numpy as jnp
import pytest

import models
from benchmarks.config import derived, recipes, resolve, stored
from benchmarks.configs import imagenet_v2, tiny_imagenet_cpu
from benchmarks.errors import ConfigError
from benchmarks.runs import validation
from benchmarks.steps import optimizers

_ARCHITECTURES = [name for name in models.names() if not name.startswith("tiny")]


def _resolved(config, model: str):
    config.recipe, config.model, config.image_size = "paper", model, "published"
    return resolve.resolved(config)


def _rate(config, progress: float) -> float:
    peak = derived.learning_rate(config)
    return float(optimizers.learning_rate(config.optimizer, jnp.float32(progress), peak))


@pytest.mark.parametrize("model", _ARCHITECTURES)
def test_every_architecture_has_a_recipe_that_can_be_run(config, model):
    run = _resolved(config, model)
    validation.validate(run)
    assert run.optimizer.name in ("sgd", "rmsprop")
    assert recipes.for_model(model).source


def test_alexnet_trains_as_in_2012(config):
    run = _resolved(config, "alexnet_2012")
    assert (run.optimizer.name, run.optimizer.momentum, run.batch_size) == ("sgd", 0.9, 128)
    assert (run.optimizer.weight_decay, run.optimizer.decay_all) == (5e-4, False)
    rates = [_rate(run, progress) for progress in (0.0, 0.3, 0.6, 0.9)]
    assert rates == pytest.approx([0.01, 0.001, 1e-4, 1e-5])
    assert run.augmentation.crop == "random_position"
    assert run.augmentation.changes == ("flip", "pca_color")


def test_vgg_jitters_the_scale_from_256_to_512(config):
    run = _resolved(config, "vgg16")
    assert (run.batch_size, run.optimizer.weight_decay) == (256, 5e-4)
    assert (run.augmentation.random_side.smallest, run.augmentation.random_side.largest) == (
        256,
        512,
    )
    assert _rate(run, 0.0) == pytest.approx(0.01)
    assert _rate(run, 0.8) == pytest.approx(1e-5)


def test_resnet_starts_at_a_tenth_and_decays_by_1e_4(config):
    run = _resolved(config, "resnet50")
    assert (run.batch_size, run.optimizer.weight_decay, run.label_smoothing) == (256, 1e-4, 0.0)
    assert (run.augmentation.random_side.smallest, run.augmentation.random_side.largest) == (
        256,
        480,
    )
    rates = [_rate(run, progress) for progress in (0.1, 0.5, 0.9)]
    assert rates == pytest.approx([0.1, 0.01, 0.001])


def test_mobilenet_v1_spares_depthwise_kernels_and_follows_inceptions_rmsprop(config):
    run = _resolved(config, "mobilenet_v1:width=0.5")
    assert (run.optimizer.name, run.optimizer.rmsprop_decay) == ("rmsprop", 0.9)
    assert (run.optimizer.rmsprop_epsilon, run.optimizer.decay_depthwise) == (1.0, False)
    assert (run.label_smoothing, run.ema_decay) == (0.0, 0.0)
    # Two of a hundred epochs at 0.045, then 0.94 of it; fifty drops in all.
    rates = [_rate(run, progress) for progress in (0.0, 0.019, 0.02, 0.999)]
    assert rates == pytest.approx([0.045, 0.045, 0.045 * 0.94, 0.045 * 0.94**49], rel=1e-4)


def test_googlenet_drops_by_4_percent_each_8_epochs_and_averages_its_weights(config):
    run = _resolved(config, "googlenet_paper")
    assert run.ema_decay == 0.9999
    assert _rate(run, 8.1 / 250) == pytest.approx(0.01 * 0.96, rel=1e-5)


def test_nothing_of_the_configuration_around_it_gets_into_a_recipe(config):
    plain = _resolved(config, "resnet18")
    config.optimizer.model_learning_rates.resnet18 = 7.0
    config.optimizer.clip_norm, config.optimizer.nesterov = 3.0, True
    config.augmentation.mixup, config.label_smoothing, config.ema_decay = 0.5, 0.3, 0.9
    assert stored.to_plain(_resolved(config, "resnet18")) == stored.to_plain(plain)


def test_the_common_recipe_leaves_every_field_and_a_record_keeps_its_own(config):
    config.optimizer.weight_decay = 0.123
    common = stored.to_plain(resolve.resolved(config))
    assert common == stored.to_plain(config) | {"resolved": True}
    run = _resolved(config, "resnet18")
    run.optimizer.learning_rate = 0.5
    assert resolve.resolved(run).optimizer.learning_rate == 0.5


def test_a_run_of_a_suite_holds_its_papers_values(config):
    config.recipe = "paper"
    runs = {spec: resolve.for_run(config, spec, 0) for spec in ("alexnet", "squeezenet1_1")}
    assert {spec: run.batch_size for spec, run in runs.items()} == {
        "alexnet": 128,
        "squeezenet1_1": 512,
    }
    assert config.batch_size == 32


def test_a_family_without_a_recipe_is_one_sentence(config):
    with pytest.raises(
        ConfigError,
        match=r"no paper's recipe for tiny, of the family tiny: .*paper is for alexnet, vgg",
    ):
        _resolved(config, "tiny")


@pytest.mark.parametrize("name", ["imagenet", "imagenet_v2", "imagenet_paper", "tiny_imagenet"])
def test_the_imagenet_configurations_can_be_run(name):
    config = importlib.import_module(f"benchmarks.configs.{name}").get_config()
    for spec in config.suite.models:
        validation.validate(resolve.for_run(config, spec, 0))


@pytest.mark.parametrize(("variant", "number"), [("suite", 9), ("literature", 9)])
def test_the_suite_for_two_cores_gives_every_model_the_same(variant, number):
    config = tiny_imagenet_cpu.get_config(variant)
    assert len(config.suite.models) == number
    runs = [resolve.for_run(config, spec, 0) for spec in config.suite.models]
    for run in runs:
        validation.validate(run)
        assert derived.image_size(run) == (64 if run.model == "alexnet" else 32)
        assert (run.budget.kind, run.budget.amount) == ("examples", 120_000)
        assert (run.train_split, run.validation_split) == ("train[:95%]", "train[95%:]")
        assert run.test_split == "validation"


def test_the_suite_for_two_cores_names_its_variants():
    with pytest.raises(ValueError, match="is :suite or :literature, not :tuned"):
        tiny_imagenet_cpu.get_config("tuned")


def test_torchvisions_new_recipe_averages_over_as_many_epochs_as_torchvision():
    run = imagenet_v2.get_config()
    # Each 32 steps of 1024 torchvision keeps 1 - 2e-5 * 1024 * 32 / 600 of the average.
    assert run.ema_decay**32 == pytest.approx(1 - 0.00109227, abs=1e-8)
    assert run.budget.amount == pytest.approx(600 * 1_271_167)
    assert [_rate(run, progress) for progress in (5 / 600, 1.0)] == pytest.approx([0.5, 0.0])
