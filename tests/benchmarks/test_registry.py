"""What a plug-in registers beside models and data: names, options, and what cannot be."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks import tasks
from benchmarks.config import default_config, plugins, recipes
from benchmarks.errors import ConfigError
from benchmarks.registry import OPTIMIZERS, SCHEDULES, Registry, options
from benchmarks.steps import optimizers
from benchmarks.steps.optimizers import register_optimizer, register_schedule


@pytest.fixture(autouse=True)
def _forget():
    registries = [OPTIMIZERS, SCHEDULES, recipes.RECIPES, *tasks.METRICS.values()]
    before = [set(each) for each in registries]
    yield
    for registry, names in zip(registries, before, strict=True):
        for name in set(registry) - names:
            registry.unregister(name)


def test_a_name_is_taken_by_whoever_came_first():
    registry = Registry("an optimizer")
    registry.register("adamw", 1, "benchmarks.steps.optimizers")
    with pytest.raises(ConfigError, match=r"an optimizer 'adamw' already, which benchmarks\.steps"):
        registry.register("adamw", 2, "mypackage")
    with pytest.raises(ConfigError, match="'adam w' cannot be the name"):
        registry.register("adam w", 2, "mypackage")
    assert dict(registry) == {"adamw": 1}


def test_options_are_keyword_only_parameters_with_defaults():
    def function(config, *, rate: float = 0.5, names=("a",)):
        return config, rate, names

    assert options(function) == {"rate": 0.5, "names": ("a",)}

    def without(config, *, rate):
        return config, rate

    with pytest.raises(ConfigError, match="the option 'rate' of without needs a default"):
        options(without)


def test_an_optimizer_and_a_schedule_have_their_options_in_the_configuration():
    @register_optimizer("signs")
    def signs(config, *, power: float = 1.0):
        scaled = optax.stateless(lambda g, p: {"w": jnp.sign(g["w"]) * jnp.abs(g["w"]) ** power})
        return optax.chain(scaled, optimizers.scale_by_given_learning_rate())

    @register_schedule("half")
    def half(progress, config, *, share: float = 0.5):
        return jnp.full_like(progress, share)

    config = default_config()
    assert config.optimizer.signs.to_dict() == {"power": 1.0}
    config.optimizer.update(name="signs", schedule="half", clip_norm=0.0, warmup_fraction=0.0)
    config.optimizer.signs.power = 2.0
    config.optimizer.half.share = 0.25
    optimizers.validate(config.optimizer)
    optimizer = optimizers.create_optimizer(config.optimizer)
    params = {"w": jnp.array([3.0, -2.0])}
    rate = optimizers.learning_rate(config.optimizer, jnp.array(0.5), 0.1)
    updates, _ = optimizer.update(params, optimizer.init(params), params, learning_rate=rate)
    np.testing.assert_allclose(updates["w"], [-0.225, 0.1], rtol=1e-6)
    with config.unlocked():
        config.optimizer.half.shear = 1.0
    with pytest.raises(
        ConfigError, match=r"config.optimizer.half has no option 'shear', but share"
    ):
        optimizers.validate(config.optimizer)


def test_a_plug_in_that_comes_after_the_configuration_gives_it_its_defaults():
    config = default_config()

    @register_schedule("later")
    def later(progress, config, *, share: float = 0.5):
        return share * progress

    assert "later" not in config.optimizer
    config.optimizer.learning_rate = 0.125
    plugins.load(config)
    assert config.optimizer.later.share == 0.5
    assert config.optimizer.learning_rate == 0.125


def test_a_recipe_goes_by_the_family_and_not_by_the_beginning_of_a_name(config):
    with pytest.raises(ConfigError, match="no paper's recipe for tiny, of the family tiny"):
        recipes.for_model("tiny")
    mine = recipes.Recipe("My paper", "", 8, {}, {})
    recipes.register_recipe("tiny", mine)
    assert recipes.for_model("tiny:width=4") is mine
    assert recipes.RECIPES.module_of("tiny") == __name__
    with pytest.raises(ConfigError, match="a recipe for the family 'resnet' already"):
        recipes.register_recipe("resnet", mine)


def test_a_metric_is_measured_beside_the_tasks_own():
    @tasks.register_metric("single_label", "top3")
    def top3(predictions):
        return np.mean(predictions["rank"] < 3)

    predictions = {
        "rank": np.array([0, 2, 4]),
        "loss": np.zeros(3),
        "confidence": np.full(3, 0.5),
    }
    measured = tasks.SINGLE_LABEL.metrics(predictions, None)
    assert measured["top3"] == pytest.approx(2 / 3)
    assert measured["top1"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("top1", 0.5, "a metric 'top1' of single_label already"),
        ("mine", "good", "the metric 'mine' is a number, not 'good'"),
    ],
)
def test_a_metric_that_cannot_be_is_one_sentence(name, value, sentence):
    tasks.register_metric("single_label", name)(lambda predictions: value)
    predictions = {"rank": np.zeros(2), "loss": np.zeros(2), "confidence": np.ones(2)}
    with pytest.raises(ConfigError, match=sentence):
        tasks.SINGLE_LABEL.metrics(predictions, None)
    with pytest.raises(ConfigError, match="a metric is of a task, single_label, binary"):
        tasks.register_metric("regression", "error")
