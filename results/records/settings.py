"""Which fields of a run's configuration may differ in a ranking: all others must agree.

A field of `record.config` is named by its path, such as `optimizer.beta1`. A new one must agree from the day that it is
added. To say that it may differ, add it to `MAY_DIFFER`; otherwise add its default to `DEFAULTS`, so that runs from
before it was there share a ranking with later ones.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from results.records.codec import encode
from results.records.schema import RunRecord

# Each field's path, and its value as JSON text.
Settings = tuple[tuple[str, str], ...]

# Of no consequence for what a run reaches, or what is compared itself.
MAY_DIFFER = frozenset(
    (
        "model",
        "seed",
        "suite",
        "plugins",
        "data_dir",
        "num_workers",
        "remat",
        "max_unreadable_fraction",
        "tuned",
        "resolved",
        "log_every_steps",
        "checkpoint_every_steps",
        "validate_every_steps",
    )
)

# Said by other fields of a record, which `groups.Group` has.
ELSEWHERE = frozenset(
    (
        "dataset",
        "task",
        "train_split",
        "test_split",
        "budget.kind",
        "budget.amount",
        "batch_size",
        "recipe",
        "tuning_trials",
        "init_from",
        "transfer",  # null
        "transfer.frozen_stages",
        "transfer.backbone_learning_rate",
    )
)

# Each model has its own; the runs of one model must agree in them.
OF_A_MODEL = ("optimizer.learning_rate", "optimizer.model_learning_rates")
OF_A_PAPER = ("batch_size", "optimizer", "augmentation", "label_smoothing", "ema_decay")

# What a record that has no such field was run with.
DEFAULTS: Mapping[str, Any] = {
    "positive_class": "",
    "positive_weight": "1",
    "validation_split": "validation",
    "image_size": "smallest",
    "mean": (),
    "std": (),
    "crop_fraction": 1.0,
    "interpolation": "bilinear",
    "eval_crops": 1,
    "eval_batch_size": 64,
    "eval_image_size": "",
    "max_pixels": 178_956_970,
    "cache": "none",
    "augmentation.crop": "center",
    "augmentation.changes": (),
    "augmentation.repeats": 1,
    "augmentation.random_resized.min_area": 0.08,
    "augmentation.random_resized.max_area": 1.0,
    "augmentation.random_side.smallest": 256,
    "augmentation.random_side.largest": 480,
    "augmentation.random_position.side": 256,
    "augmentation.shift.distance": 0.1,
    "augmentation.shift.degrees": 10.0,
    "augmentation.shift.zoom": 1.1,
    "augmentation.pad_and_crop.fraction": 0.125,
    "augmentation.color_jitter.brightness": 0.4,
    "augmentation.color_jitter.contrast": 0.4,
    "augmentation.color_jitter.saturation": 0.4,
    "augmentation.color_jitter.hue": 0.0,
    "augmentation.pca_color.deviation": 0.1,
    "augmentation.rand_augment.layers": 2,
    "augmentation.rand_augment.magnitude": 9,
    "augmentation.random_erasing": 0.0,
    "augmentation.mixup": 0.0,
    "augmentation.cutmix": 0.0,
    "progressive_sizes": (),
    "accumulation": 1,
    "batch_norm_scope": "global",
    "ema_decay": 0.0,
    "optimizer.name": "adamw",
    "optimizer.schedule": "warmup_cosine",
    "optimizer.warmup_fraction": 0.1,
    "optimizer.step_fractions": (1 / 3, 2 / 3),
    "optimizer.step_factor": 0.1,
    "optimizer.exponential_rate": 0.94,
    "optimizer.exponential_every": 0.02,
    "optimizer.weight_decay": 0.01,
    "optimizer.decay_all": False,
    "optimizer.decay_depthwise": True,
    "optimizer.beta1": 0.9,
    "optimizer.beta2": 0.999,
    "optimizer.momentum": 0.9,
    "optimizer.nesterov": False,
    "optimizer.rmsprop_decay": 0.9,
    "optimizer.rmsprop_epsilon": 1e-3,
    "optimizer.clip_norm": 1.0,
    "label_smoothing": 0.0,
    "dtype": "float32",
    "deterministic": False,
}

# What earlier versions called an augmentation as a whole, and a crop; stored configurations are migrated by these too.
NAMED_AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "shift": {"changes": ("shift",)},
    "crop_flip": {"crop": "random_resized", "changes": ("flip",)},
    "pad_crop_flip": {"changes": ("pad_and_crop", "flip")},
}
RENAMED_CROPS = {"centre": "center"}


def of_group(record: RunRecord) -> Settings:
    """Returns what all runs of a ranking have in common, sorted by path; without what has its default."""
    own = _of_model(record)
    # In more parts than it was asked for where memory ran out; a run that failed never says in how many.
    parts = {} if record.accumulation is None else {"accumulation": record.accumulation}
    agreed = {
        path: text
        for path, text in ((path, _text(value)) for path, value in _flat(_used(record) | parts))
        if path not in MAY_DIFFER and path not in ELSEWHERE and not _within(path, own)
    }
    return tuple(sorted(item for item in agreed.items() if item[1] != _DEFAULT_TEXTS.get(item[0])))


def of_model(record: RunRecord) -> Settings:
    """Returns what the runs of one model have in common, and two models need not: its learning rate, say."""
    config, own = record.config, _of_model(record)
    chosen = {path: _text(value) for path, value in _flat(_used(record)) if _within(path, own)}
    rates = f"{OF_A_MODEL[1]}.{record.model.name}"
    rate = chosen.get(rates, chosen.get(OF_A_MODEL[0]))
    chosen = {path: text for path, text in chosen.items() if not _within(path, OF_A_MODEL)}
    if rate is not None:
        chosen[OF_A_MODEL[0]] = rate
    if record.recipe == "paper" and "batch_size" not in config:
        chosen["batch_size"] = _text(record.budget.batch_size)
    return tuple(sorted(chosen.items()))


def differing(
    those: Mapping[str, str] | Settings, others: Mapping[str, str] | Settings
) -> list[str]:
    """Returns the paths of the fields in which two runs' settings differ, sorted."""
    first, second = dict(those), dict(others)
    return [
        path for path in sorted(first.keys() | second.keys()) if first.get(path) != second.get(path)
    ]


def shown(settings: Mapping[str, str] | Settings, path: str) -> str:
    """Returns the value of a field as people read it; of one that is not there, its default."""
    text = dict(settings).get(path, _DEFAULT_TEXTS.get(path))
    if text is None:
        return "not set"
    value = json.loads(text)
    return (value or "none") if isinstance(value, str) else text


def _of_model(record: RunRecord) -> tuple[str, ...]:
    """Returns the paths of what each model has its own of."""
    paths: tuple[str, ...] = OF_A_MODEL
    if record.config.get("tuning_trials"):
        tuned = record.config.get("tuning")
        paths += tuple(path for path, _ in _flat(tuned)) if isinstance(tuned, Mapping) else ()
    return paths + OF_A_PAPER if record.recipe == "paper" else paths


def _used(record: RunRecord) -> dict[str, Any]:
    """Returns the configuration, without options of what the run did not use."""
    config = dict(record.config)
    augmentation = config.get("augmentation")
    if isinstance(augmentation, str):
        augmentation = NAMED_AUGMENTATIONS.get(augmentation, {"crop": augmentation})
    if isinstance(augmentation, Mapping):
        crop, changes = augmentation.get("crop"), augmentation.get("changes")
        names = [crop, *changes] if isinstance(changes, list | tuple) else [crop, changes]
        config["augmentation"] = _with_options_of(names, augmentation)
        if isinstance(crop, str):
            config["augmentation"]["crop"] = RENAMED_CROPS.get(crop, crop)
    optimizer = config.get("optimizer")
    if isinstance(optimizer, Mapping):
        names = [optimizer.get("name"), optimizer.get("schedule"), "model_learning_rates"]
        config["optimizer"] = _with_options_of(names, optimizer)
    if not config.get("tuning_trials"):
        config.pop("tuning", None)  # where nothing was searched, the range says nothing
    return config


def _with_options_of(names: list[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options without those, by name, of what is not among `names`."""
    return {k: v for k, v in options.items() if k in names or not isinstance(v, Mapping)}


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _within(path: str, parents: tuple[str, ...]) -> bool:
    return any(path == each or path.startswith(f"{each}.") for each in parents)


def _text(value: Any) -> str:
    """Returns a value as JSON text, the same for 1 and 1.0."""
    return json.dumps(_whole(encode(value)))


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [_whole(each) for each in value] if isinstance(value, list) else value


_DEFAULT_TEXTS = {path: _text(value) for path, value in DEFAULTS.items()}
