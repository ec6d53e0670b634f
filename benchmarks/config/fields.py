"""What a run is told: every field, its default and its meaning. The checks are in `benchmarks/runs/validation.py`."""

from ml_collections import ConfigDict

from benchmarks import registry
from input_pipeline import augmentation

RECIPES = ("common", "paper")
DTYPES = ("float32", "bfloat16")
BATCH_NORM_SCOPES = ("global", "device")
SMALLEST = "smallest"
PUBLISHED = "published"


def default_config() -> ConfigDict:
    """Returns the configuration that every file in `benchmarks/configs` starts from."""
    config = ConfigDict()
    # Modules of one's own that register models, datasets, optimizers and so on: docs/extending.md.
    config.plugins = ()

    # What is compared. `model` is one run's; the suite trains `suite.models` x `suite.seeds`.
    config.model = "resnet50"
    config.seed = 0
    config.suite = ConfigDict({"models": ("resnet50",), "seeds": (0,)})

    # The data, the same for every model. Splits are TFDS's, slices included. The test split is read once, at the end.
    config.dataset = "digits"
    config.data_dir = ""  # where prepared datasets lie; TFDS's own directory if empty
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
    # In evaluation: the part of the shorter side that is seen, how it is resized, and how many crops (1, 10) count.
    config.crop_fraction = 1.0
    config.interpolation = "bilinear"  # or bicubic
    config.eval_crops = 1
    config.num_workers = 0  # processes that prepare batches; 0 means threads
    config.max_unreadable_fraction = (
        0.001  # of a split's examples; more that cannot be read stop the run
    )

    # By chance, in training. On the host: `crop` and `changes` by the names of `input_pipeline/augmentation.py`, each
    # with its options; `repeats` takes each example so often in a row. On the device: `random_erasing` is a
    # probability, `mixup` and `cutmix` are the alphas of their Beta distributions; 0 is without.
    config.augmentation = ConfigDict(
        augmentation.defaults() | {"random_erasing": 0.0, "mixup": 0.0, "cutmix": 0.0}
    )

    # What the weights begin with (docs/transfer.md), all but the head: drawn if empty; else those of a finished run's
    # folder, of a suite's (its run of the same model and seed), of a path with {model} and {seed} in it, or of a .pth
    # or .safetensors file.
    config.init_from = ""
    config.transfer = ConfigDict(
        {
            "frozen_stages": "",  # names with commas between them, or "all": everything but the head
            "backbone_learning_rate": 1.0,  # of all but the head, as a factor of the learning rate
        }
    )

    # The budget, the same for every model: training `examples` (repeats counted), `epochs`, training `flops`, or
    # `seconds` of training on this machine, which a short calibration turns into steps.
    config.budget = ConfigDict({"kind": "examples", "amount": 4096.0})
    config.batch_size = 32  # over all devices
    config.eval_batch_size = 64
    config.eval_image_size = ""  # pixels a side; that of training if empty
    # Pixels a side of the run's first parts, all parts being as long; the last part has image_size.
    config.progressive_sizes = ()
    config.accumulation = (
        1  # parts in which a batch is worked on, one after another, to save memory
    )
    config.remat = False  # compute the stages' insides again for the gradients, to save memory
    config.batch_norm_scope = "global"  # statistics over the whole batch, or each "device"'s part
    config.ema_decay = (
        0.0  # of moving averages of the weights, which are then evaluated; 0 is without
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
            "exponential_every": 0.02,  # each time that so much of the run is over
            "weight_decay": 0.01,
            "decay_all": False,  # on kernels alone, or on biases and norms too
            "decay_depthwise": True,  # on the kernels of depthwise convolutions too
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

    config.deterministic = False  # on GPUs too the same bits each time; set by --deterministic

    # Equal tuning (docs/tuning.md): from where to where each tuned field is searched, under the field's own name; the
    # file with what was found; and, written by the harness, how many trials chose this run's values.
    config.tuning = ConfigDict()  # such as {"optimizer": {"learning_rate": (1e-4, 1e-1)}}
    config.tuned = ""
    config.tuning_trials = 0
    config.resolved = False  # written by the harness: recipe and tuned values are in their fields

    # What is written, and when.
    config.log_every_steps = 10
    config.checkpoint_every_steps = 1000
    # How often the validation split is evaluated before the end, for learning curves; 0 is never. No choice is made by
    # it, and the clock of training stands still meanwhile.
    config.validate_every_steps = 0
    return config
