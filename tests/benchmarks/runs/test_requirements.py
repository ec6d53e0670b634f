"""Which plug-ins a record names: those that its run needs, and no others that happen to be installed."""

import pytest

from benchmarks import tasks
from benchmarks.runs.requirements import needed_plugins
from input_pipeline import augmentation
from isobudget import plugins
from isobudget.plugins import Plugin


@pytest.fixture
def installed(monkeypatch):
    """A plug-in of another package that is installed beside the tests' own."""
    brought = Plugin("mypackage.my_net", "mypackage", "0.1.0", "ab" * 32)
    loaded = {**plugins._loaded, brought.module: brought}
    monkeypatch.setattr(plugins, "_loaded", loaded)
    return brought


def modules(config) -> list[str]:
    return [each.module for each in needed_plugins(config)]


def test_a_run_needs_the_plug_in_of_its_model_and_not_what_is_merely_installed(config, installed):
    config.plugins = ()
    assert modules(config) == ["tiny_model"]
    config.model = "resnet18"
    assert modules(config) == []


def test_a_run_needs_what_its_configuration_names(config, installed):
    config.plugins = (installed.module,)
    assert modules(config) == [installed.module, "tiny_model"]


def test_a_run_needs_the_package_of_every_part_that_it_uses(config, installed, monkeypatch):
    def dim(picture, rng):
        return picture

    dim.__module__ = "mypackage.my_data"
    monkeypatch.setitem(augmentation.CHANGES, "dim", dim)
    config.plugins = ()
    assert modules(config) == ["tiny_model"]
    config.augmentation.changes = ("flip", "dim")
    assert modules(config) == [installed.module, "tiny_model"]


def test_a_run_needs_the_package_of_a_metric_of_its_task(config, installed):
    metrics = tasks.METRICS["single_label"]
    metrics.register("top2", lambda predictions: 0.0, "mypackage.my_training")
    try:
        assert installed.module in modules(config)
        config.task = "multi_label"
        assert installed.module not in modules(config)
    finally:
        metrics.unregister("top2")
