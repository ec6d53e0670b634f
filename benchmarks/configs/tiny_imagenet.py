r"""Tiny-ImageNet (64x64 pictures), 100 classes of it: the smallest set of photographs that tells architectures apart.

    python -m benchmarks.suite --config=benchmarks/configs/tiny_imagenet.py --workdir=runs/tiny_imagenet \
        --config.dataset=tiny_imagenet_100:PATH --seeds=0,1,2

PATH is the unpacked `tiny-imagenet-200`, or its zip archive (docs/data.md). Every model sees 1,500,000 pictures (30
epochs of 100 classes; `tiny_imagenet:PATH` has all 200): random resized crop and flip, SGD with Nesterov momentum under
a cosine, batch 256. A twentieth of the training split is the validation part; the test split is Tiny-ImageNet's
`validation`. The learning rates are customary, not tuned.
"""

from ml_collections import ConfigDict

from benchmarks.config.fields import default_config

_WITHOUT_BATCH_NORM = ("alexnet", "vgg16", "vgg19", "squeezenet1_1")


def get_config() -> ConfigDict:
    config = default_config()
    config.suite.models = (
        "alexnet",
        "vgg16",
        "vgg19",
        "googlenet",
        "resnet50",
        "squeezenet1_1",
        "mobilenet_v1",
        "mobilenet_v1:width=0.5",
        "mobilenet_v1:width=0.25",
    )
    config.dataset = "tiny_imagenet_100"
    config.train_split = "train[:95%]"
    config.validation_split = "train[95%:]"
    config.test_split = "validation"
    config.image_size = "64"
    config.augmentation.crop = "random_resized"
    config.augmentation.random_resized.min_area = 0.25
    config.augmentation.changes = ("flip",)

    config.budget.kind = "examples"
    config.budget.amount = 1_500_000.0
    config.batch_size = 256
    config.eval_batch_size = 256
    config.dtype = "bfloat16"
    config.label_smoothing = 0.1

    config.optimizer.name = "sgd"
    config.optimizer.nesterov = True
    config.optimizer.learning_rate = 0.1
    config.optimizer.model_learning_rates.update(dict.fromkeys(_WITHOUT_BATCH_NORM, 0.01))
    config.optimizer.warmup_fraction = 0.1
    config.optimizer.weight_decay = 5e-4
    config.log_every_steps = 50
    config.checkpoint_every_steps = 1000
    config.tuning = ConfigDict({"optimizer": {"learning_rate": (1e-3, 1.0)}})
    return config
