"""Every field of a configuration, its default and its meaning. The checks are in `benchmarks/runs/validation.py`."""

from ml_collections import ConfigDict

from benchmarks import registry
from input_pipeline import augmentation, decoding

RECIPES = ("common", "paper")
DTYPES = ("float32", "bfloat16")
BATCH_NORM_SCOPES = ("global", "device")
NO_CACHE, DEVICE_CACHE = CACHES = ("none", "device")
SMALLEST = "smallest"
PUBLISHED = "published"
# What touches evaluation alone, and no weight: on a training that is under way or over these may be changed, and it is
# kept (benchmarks/runs/claim.py). Not so what chooses or feeds training too, such as `mean` or `max_pixels`.
EVALUATION_FIELDS = (
    "validation_split",  # what training logs of it on the way chooses nothing
    "test_split",
    "crop_fraction",
    "interpolation",
    "eval_crops",
    "eval_batch_size",
    "eval_image_size",
)


def default_config() -> ConfigDict:
    """Returns the configuration that every file in `benchmarks/configs` starts from."""
    config = ConfigDict()
    # Your own modules that register models, datasets, optimizers and so on: docs/extending.md.
    config.plugins = ()

    # What is compared. `model` is one run's; the suite trains `suite.models` x `suite.seeds`.
    config.model = "resnet50"
    config.seed = 0
    config.suite = ConfigDict({"models": ("resnet50",), "seeds": (0,)})

    # The data, the same for every model. Splits are TFDS's, slices included. The test split is read once, at the end.
    config.dataset = "digits"
    config.data_dir = ""  # the directory of prepared datasets; TFDS's own if empty
    # `single_label`, `binary` (a class against the rest) or `multi_label` (docs/tasks.md).
    config.task = "single_label"
    config.positive_class = ""  # binary: the class by its name; of two classes the second if empty
    # binary, multi_label: how much more a positive's loss weighs than a negative's, or "balanced" by their numbers.
    config.positive_weight = "1"
    config.train_split = "train"
    config.validation_split = "validation"
    config.test_split = "test"
    # Pixels a side; "smallest": the smallest multiple of 32 that the model accepts; "published": its authors' own.
    config.image_size = SMALLEST
    # Each channel's mean and deviation, of pixels scaled to 0..1; empty for the model's own, which its weights need.
    config.mean = ()
    config.std = ()
    # In evaluation: the fraction of the shorter side that is kept, how it is resized, and how many crops (1 or 10)
    # are averaged.
    config.crop_fraction = 1.0
    config.interpolation = "bilinear"  # or bicubic
    config.eval_crops = 1
    config.num_workers = 0  # processes that prepare batches; 0 means threads
    # "device": the training split is decoded once and kept on every device, where the compiled step crops, resizes and
    # flips it, so that no step waits for input; the validation split too if `validate_every_steps` reads it often. For
    # pictures of one size that fit into half of a device's memory (docs/data.md).
    config.cache = NO_CACHE
    config.max_unreadable_fraction = (
        0.001  # of a split's examples; more that cannot be read stop the run
    )

    # A picture that claims more pixels is not decoded, and counts as one that cannot be read.
    config.max_pixels = decoding.MAX_PIXELS

    # Random augmentation, in training only. On the host: `crop` and `changes` are names in
    # `input_pipeline/augmentation.py`, each with its options; `repeats` shows each example that many times in a row. On
    # the device: `random_erasing` is a probability, `mixup` and `cutmix` are the alphas of their Beta distributions; 0
    # turns them off.
    config.augmentation = ConfigDict(
        augmentation.defaults() | {"random_erasing": 0.0, "mixup": 0.0, "cutmix": 0.0}
    )

    # Where all weights but the head's come from (docs/transfer.md): drawn at random if empty; otherwise from a finished
    # run's folder, a suite's folder (its run of the same model and seed), a path with {model} and {seed} in it, or a
    # file of weights, such as .pth or .safetensors.
    config.init_from = ""
    config.transfer = ConfigDict(
        {
            "frozen_stages": "",  # names with commas between them, or "all": everything but the head
            "backbone_learning_rate": 1.0,  # of all but the head, as a multiple of the learning rate
        }
    )

    # The budget, the same for every model: training `examples` (repeats counted), `epochs`, training `flops`, or
    # `seconds` of training on this machine, which end with the step that reaches them.
    config.budget = ConfigDict({"kind": "examples", "amount": 4096.0})
    config.batch_size = 32  # over all devices
    config.eval_batch_size = 64
    config.eval_image_size = ""  # pixels a side; training's if empty
    # Pixels a side in the run's first parts; all parts are equally long, and the last has image_size.
    config.progressive_sizes = ()
    # Parts that a batch is split into, worked on one after another to save memory. Batch norm sees a part at a time, so
    # that runs with another number of parts have a ranking of their own.
    config.accumulation = 1
    config.remat = False  # compute the insides of stages again for the gradients, to save memory
    config.batch_norm_scope = "global"  # statistics of the whole batch, or of each "device"'s part
    config.ema_decay = (
        0.0  # of the moving average of the weights, which is then evaluated; 0 turns it off
    )

    # The recipe: `common` is one optimizer and one schedule shape for all; `paper` is what each model's paper trained
    # with (benchmarks/config/recipes.py), which sets the batch size, the optimizer, the augmentation, label smoothing
    # and the averaging of weights, whatever is written here.
    config.recipe = "common"
    config.optimizer = ConfigDict(
        {
            "name": "adamw",  # or sgd, rmsprop, lamb
            "learning_rate": 1e-3,  # the peak, where the next line does not name the model
            "model_learning_rates": ConfigDict(),  # by model name, chosen by equal tuning on the validation split
            "schedule": "warmup_cosine",  # or linear, constant, step, exponential
            "warmup_fraction": 0.1,  # of the steps
            "step_fractions": (1 / 3, 2 / 3),  # step: where in the run the rate drops
            "step_factor": 0.1,  # and to how much of what it was
            "exponential_rate": 0.94,  # exponential: what the rate is multiplied by
            "exponential_every": 0.02,  # each time that this much of the run is over
            "weight_decay": 0.01,
            "decay_all": False,  # whether biases and norms decay too, and not kernels alone
            "decay_depthwise": True,  # whether the kernels of depthwise convolutions decay
            "beta1": 0.9,  # AdamW, LAMB
            "beta2": 0.999,
            "momentum": 0.9,  # SGD, RMSProp
            "nesterov": False,
            "rmsprop_decay": 0.9,
            "rmsprop_epsilon": 1e-3,  # under the square root
            "clip_norm": 1.0,  # of the gradient's global norm; 0 for none
        }
        | registry.optimizer_options()  # of plug-ins, under their names
    )
    config.label_smoothing = 0.0
    config.dtype = (
        "float32"  # of the computation; parameters, batch statistics and logits are float32
    )

    config.deterministic = False  # the same bits every time, on GPUs too; set by --deterministic

    # Equal tuning (docs/tuning.md): the range in which each tuned field is searched, under the field's own name; the
    # file of tuned values; and, written by the harness, how many trials this run's values were chosen from.
    config.tuning = ConfigDict()  # such as {"optimizer": {"learning_rate": (1e-4, 1e-1)}}
    config.tuned = ""
    config.tuning_trials = 0
    config.resolved = False  # written by the harness: recipe and tuned values are in their fields

    # What is written, and when.
    config.log_every_steps = 10
    config.checkpoint_every_steps = 1000
    # How often the validation split is evaluated before the end, for learning curves; 0 is never. Nothing is
    # chosen by it, and the training clock stops meanwhile.
    config.validate_every_steps = 0
    return config
