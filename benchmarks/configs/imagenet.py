"""ImageNet by torchvision's 90-epoch recipe: the one behind the accuracies that the registry reports as V1.

    python -m input_pipeline.prepare --dataset=imagenet2012 --manual_dir=DIR
    python -m benchmarks.suite --config=benchmarks/configs/imagenet.py --workdir=runs/imagenet --seeds=0,1,2

SGD with momentum 0.9 from 0.1 (AlexNet, SqueezeNet and VGG without batch norm from 0.01), divided by 10 each 30 epochs,
weight decay 1e-4 on every parameter, batch 256, random resized crop and flip; evaluation at a resize to 256 and the
central 224. The last 10,000 training pictures are the validation part; the test split is ImageNet's validation split,
as everywhere. On a machine with eight GPUs, use as many worker processes as keep them busy:
`--config.num_workers=16`. Not run by us in full: this is the recipe, not a result.
"""

from ml_collections import ConfigDict

from benchmarks.config.fields import PUBLISHED, default_config

_TRAINING_EXAMPLES = 1_281_167 - 10_000
EPOCHS = 90
_WITHOUT_BATCH_NORM = (
    "alexnet",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "squeezenet1_0",
    "squeezenet1_1",
)


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
    )
    config.dataset = "imagenet2012"
    config.train_split = "train[:-10000]"
    config.validation_split = "train[-10000:]"
    config.test_split = "validation"
    config.image_size = PUBLISHED
    config.crop_fraction = 0.875
    config.augmentation.crop = "random_resized"
    config.augmentation.changes = ("flip",)
    config.num_workers = 8

    config.budget.kind = "examples"
    config.budget.amount = float(EPOCHS * _TRAINING_EXAMPLES)
    config.batch_size = 256
    config.eval_batch_size = 256
    config.dtype = "bfloat16"

    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.1
    config.optimizer.model_learning_rates.update(dict.fromkeys(_WITHOUT_BATCH_NORM, 0.01))
    config.optimizer.schedule = "step"
    config.optimizer.warmup_fraction = 0.0
    config.optimizer.weight_decay = 1e-4
    config.optimizer.decay_all = True
    config.optimizer.clip_norm = 0.0
    config.log_every_steps = 100
    config.checkpoint_every_steps = 5000
    config.tuning = ConfigDict({"optimizer": {"learning_rate": (1e-3, 1.0)}})
    return config
