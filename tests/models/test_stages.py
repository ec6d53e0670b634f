"""Which variables are in which stage, and what training costs where some are frozen."""

import pytest

import models

# One of each family in the ordinary run: tracing the deep ones takes seconds.
_QUICK = ("alexnet", "vgg11", "googlenet_paper", "resnet18", "squeezenet1_1", "mobilenet_v1")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[] if name in _QUICK else [pytest.mark.slow])
        for name in models.names()
    ],
)
def model(request, abstract):
    return abstract(request.param)


def test_every_variable_is_in_one_stage_or_in_the_classifier_or_in_an_auxiliary_head(model):
    stages = models.stage_variables(model)
    assert list(stages) == list(model.stages())
    assert all(stages.values())
    inside = [path for paths in stages.values() for path in paths]
    assert len(inside) == len(set(inside))
    left = set(models.variable_paths(model)) - set(inside)
    heads = set(models.auxiliary_paths(model).values())
    behind = {path for path in left if not any(path[: len(head)] == head for head in heads)}
    assert behind >= {(*models.head_path(model), "kernel"), (*models.head_path(model), "bias")}
    # Nothing behind the stages keeps statistics, so a frozen backbone has none that move.
    assert {path[-1] for path in behind} == {"kernel", "bias"}


def test_training_costs_three_passes_and_a_linear_probe_one_and_two_of_the_head(model):
    side = model.min_size
    assert models.count_train_macs(model, side) == 3 * models.count_macs(model, side, train=True)
    head = models.head_path(model)
    probe = models.count_train_macs(
        model, side, frozen=tuple(model.stages()), is_trained=lambda path: path[:-1] == head
    )
    once = models.count_macs(model, side)
    more_classes = models.create_abstract(model.spec, 8)
    of_a_class = models.count_macs(more_classes, side) - once
    assert probe == once + 2 * 7 * of_a_class


def test_a_frozen_stage_counts_twice_above_a_trained_one_and_once_below(abstract):
    model = abstract("vgg11")
    stages = models.stage_variables(model)
    full = models.count_train_macs(model, 32)
    # Convolutions at 32x32 and 16x16 pixels.
    first, second = 32 * 32 * 9 * 3 * 64, 16 * 16 * 9 * 64 * 128

    def cost(*names):
        kept = set().union(*(stages[name] for name in names))
        return models.count_train_macs(
            model, 32, frozen=names, is_trained=lambda path: path not in kept
        )

    assert cost("block1") == full - 2 * first
    assert cost("block2") == full - second
    assert cost("block1", "block2") == full - 2 * (first + second)


def test_stages_are_those_of_the_attributes(abstract):
    stages = models.stage_variables(abstract("resnet18"))
    assert {path[0] for path in stages["stem"]} == {"conv1", "bn1"}
    assert {path[0] for path in stages["layer3"]} == {"layer3"}
    assert ("layer3", "0", "bn1", "mean") in stages["layer3"]
    googlenet = abstract("googlenet_paper")
    assert models.auxiliary_paths(googlenet) == {
        "inception4a": ("aux1",),
        "inception4d": ("aux2",),
    }
    assert models.head_paths(googlenet) == {("fc",), ("aux1", "fc2"), ("aux2", "fc2")}
