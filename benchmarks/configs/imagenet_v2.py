"""ImageNet by torchvision's 600-epoch recipe: the one behind ResNet-50's 80.858%, which torchvision calls V2.

    python -m benchmarks.suite --config=benchmarks/configs/imagenet_v2.py --workdir=runs/imagenet_v2 --seeds=0,1,2

From pytorch.org/blog/how-to-train-state-of-the-art-models-using-torchvision-latest-primitives: SGD with momentum 0.9
from 0.5 under a cosine after 5 epochs of warm-up, batch 1024, weight decay 2e-5 and none on norms (nor biases here),
label smoothing 0.1, mixup 0.2, cutmix 1.0, TrivialAugment, random erasing 0.1, each picture four times in a row
(repeats count), trained at 176 pixels, evaluated at the central 224 of 232, on averaged weights. Its warm-up starts at
a hundredth of the rate, ours at 0. For models with batch norm. Not run by us: this is the recipe, not a result.
"""

from ml_collections import ConfigDict

from benchmarks.configs import imagenet

_EPOCHS = 600
_BATCH = 1024
# torchvision averages each 32 steps, with 0.99998 adapted to the length: this is the same for each step.
_EMA_EVERY = 32
_EMA_SHARE = (1 - 0.99998) * _BATCH * _EMA_EVERY / _EPOCHS


def get_config() -> ConfigDict:
    config = imagenet.get_config()
    config.suite.models = ("resnet50", "resnet101")
    config.image_size = "176"
    config.eval_image_size = "224"
    config.crop_fraction = 224 / 232
    config.augmentation.changes = ("flip", "trivial_augment")
    config.augmentation.repeats = 4
    config.augmentation.random_erasing = 0.1
    config.augmentation.mixup = 0.2
    config.augmentation.cutmix = 1.0
    config.label_smoothing = 0.1

    config.budget.amount *= _EPOCHS / imagenet.EPOCHS
    config.batch_size = _BATCH
    config.ema_decay = (1 - _EMA_SHARE) ** (1 / _EMA_EVERY)

    config.optimizer.learning_rate = 0.5
    config.optimizer.model_learning_rates = ConfigDict()
    config.optimizer.schedule = "warmup_cosine"
    config.optimizer.warmup_fraction = 5 / _EPOCHS
    config.optimizer.weight_decay = 2e-5
    config.optimizer.decay_all = False
    return config
