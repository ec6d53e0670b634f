"""ImageNet, each network as its own paper has it and trained as its own paper says, all on the same 90 epochs.

    python -m benchmarks.suite --config=benchmarks/configs/imagenet_paper.py --workdir=runs/imagenet_paper

Batch size, optimizer, schedule (its shape squeezed or stretched into the 90 epochs), augmentation, label smoothing and
averaging of weights come from `benchmarks/config/recipes.py` (docs/recipes.md); the data, the resolution and the budget
are those of `imagenet.py`. Not run by us: these are the recipes, not results.
"""

from ml_collections import ConfigDict

from benchmarks.configs import imagenet


def get_config() -> ConfigDict:
    config = imagenet.get_config()
    config.recipe = "paper"
    config.suite.models = (
        "alexnet_2012",
        "vgg16",
        "googlenet_paper",
        "resnet50_v1",
        "squeezenet1_0",
        "mobilenet_v1",
        "mobilenet_v2",
    )
    return config
