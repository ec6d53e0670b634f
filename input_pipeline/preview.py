"""Draws what a model is fed: a grid of pictures from a configuration's training batches, with their labels.

    python -m input_pipeline.preview --config=benchmarks/configs/tiny_imagenet.py --out=preview.png

It shows all random augmentation, on the host and on the device, exactly as in that step of the run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from ml_collections import ConfigDict, config_flags
from PIL import Image, ImageDraw, ImageFont

from input_pipeline import augmentation, datasets, decoding, loader, seeds
from input_pipeline.errors import DataError
from input_pipeline.names import printable
from isobudget import command, imagenet, plugins
from isobudget.wording import exact, quoted_path

_ON_DEVICE = ("random_erasing", "mixup", "cutmix")
_TILE, _GAP, _LINE, _TITLE = 144, 10, 17, 30
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_BACKGROUND, _TEXT = (255, 255, 255), (20, 20, 20)


def training_batch(
    config: Mapping[str, Any], dataset: datasets.Dataset, image_size: int, step: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Returns pictures uint8 [batch, height, width, 3] and targets float32 [batch, classes] of one step of training.

    Args:
      config: the configuration of the run; see `benchmarks/config.py`.
      dataset: the dataset that it names.
      image_size: the height and width, in pixels.
      step: the number of the step, from 0.

    Raises:
      DataError: the split or an augmentation is unknown, or examples cannot be read.
    """
    batch = next(
        loader.train_batches(
            dataset,
            config["train_split"],
            image_size=image_size,
            batch_size=config["batch_size"],
            num_steps=step + 1,
            start_step=step,
            seed=seeds.derive(config["seed"], "data"),
            augmentation=augmentation.create(config["augmentation"]),
            max_unreadable_fraction=config["max_unreadable_fraction"],
            max_pixels=config.get("max_pixels", decoding.MAX_PIXELS),
        )
    )
    return _on_device(config, batch, dataset.num_classes, step)


def _on_device(
    config: Mapping[str, Any], batch: Mapping[str, np.ndarray], num_classes: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    import jax
    import jax.numpy as jnp

    from input_pipeline import on_device

    chosen = config["augmentation"]
    # Normalized, so that erased pixels show as the mean.
    mean = np.array(tuple(config["mean"]) or imagenet.MEAN, np.float32) * 255
    std = np.array(tuple(config["std"]) or imagenet.STD, np.float32) * 255
    images = jnp.asarray((batch["image"].astype(np.float32) - mean) / std)
    labels = jnp.asarray(batch["label"])
    targets = labels if labels.ndim == 2 else jax.nn.one_hot(labels, num_classes)
    if chosen["random_erasing"]:
        key = jax.random.fold_in(seeds.key(config["seed"], "erasing"), step)
        images = on_device.random_erasing(images, key, probability=chosen["random_erasing"])
    key = jax.random.fold_in(seeds.key(config["seed"], "mixing"), step)
    images, targets = on_device.mix(
        images, targets, key, mixup_alpha=chosen["mixup"], cutmix_alpha=chosen["cutmix"]
    )
    pictures = np.clip(np.rint(np.asarray(images) * std + mean), 0, 255).astype(np.uint8)
    return pictures, np.asarray(targets)


def captions(targets: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """Returns a caption for each row of targets [batch, classes]: its classes, with their shares if mixed."""
    lines = []
    for row in targets:
        shown = [index for index in np.argsort(-row, kind="stable") if row[index] > 0.005]
        parts = [
            class_names[index] + (f" {row[index]:.2f}" if row[index] < 0.995 else "")
            for index in shown
        ]
        lines.append(" + ".join(parts))
    return lines


def grid(pictures: np.ndarray, labels: Sequence[str], title: str) -> Image.Image:
    """Returns one image of all pictures, each resized to the same width, with its label below."""
    columns = min(len(pictures), 8)
    rows = -(-len(pictures) // columns)
    cell = (_TILE + _GAP, _TILE + 2 * _LINE + _GAP)
    canvas = Image.new(
        "RGB", (columns * cell[0] + _GAP, rows * cell[1] + _TITLE + _GAP), _BACKGROUND
    )
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(13)
    draw.text((_GAP, _GAP), printable(title), _TEXT, font=ImageFont.load_default(15))
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left = _GAP + number % columns * cell[0]
        top = _TITLE + _GAP + number // columns * cell[1]
        method = Image.Resampling.NEAREST if len(picture) < _TILE else Image.Resampling.LANCZOS
        canvas.paste(Image.fromarray(picture).resize((_TILE, _TILE), method), (left, top))
        for line, text in enumerate(_lines(label, draw, font)):
            draw.text((left, top + _TILE + 2 + line * _LINE), text, _TEXT, font=font)
    return canvas


def _lines(text: str, draw: ImageDraw.ImageDraw, font: _Font) -> list[str]:
    """Returns the text broken at spaces into at most two lines that fit below a tile."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and draw.textlength(longer, font=font) > _TILE:
            lines.append(word)
        else:
            lines[-1] = longer
    kept = lines[:2]
    for number, line in enumerate(kept):
        cut = line
        while draw.textlength(cut, font=font) > _TILE:
            cut = cut[:-2] + "…"
        kept[number] = cut
    if len(lines) > 2:
        kept[1] = kept[1].rstrip("…")[:-1] + "…"
    return kept


def _image_size(config: Mapping[str, Any], given: int | None) -> int:
    if given:
        return given
    # A configuration may leave it to each model.
    size = str(config["image_size"])
    return int(size) if size.isdigit() else 64


def import_plugins(config: ConfigDict) -> None:
    """Imports the plug-ins that a configuration names, and gives it the options of what they register.

    Raises:
      UserError: a plug-in cannot be imported, or registers what it may not.
    """
    plugins.load(config.get("plugins", ()), "config.plugins")
    with config.augmentation.unlocked():
        for name, default in ConfigDict(augmentation.defaults()).items():
            if name not in config.augmentation:
                config.augmentation[name] = default


def _write(picture: Image.Image, path: Path) -> None:
    try:
        picture.save(path)
    except (OSError, ValueError) as error:  # ValueError: a suffix of no known format
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{quoted_path(path)} cannot be written ({reason})") from error


def _define_flags() -> None:
    plugins.define_flag()
    config_flags.DEFINE_config_file("config", None, "Names the configuration file.")
    flags.DEFINE_string("out", "preview.png", "The picture is written to this file.")
    flags.DEFINE_integer("step", 0, "Shows the batch of this step, counted from 0.", lower_bound=0)
    flags.DEFINE_integer(
        "pictures",
        32,
        "Shows this many pictures of the batch, or all if it has fewer.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "image_size",
        None,
        "Makes pictures with this many pixels a side; the default is the configuration's size, or 64"
        " where it leaves the size to each model.",
    )
    flags.mark_flag_as_required("config")


def main() -> None:
    """Draws what the flags say."""
    given = flags.FLAGS
    config = given.config
    import_plugins(config)
    dataset = datasets.load(config.dataset, config.data_dir or None, config.positive_class)
    size = _image_size(config, given.image_size)
    pictures, targets = training_batch(config, dataset, size, given.step)
    shown = min(given.pictures, len(pictures))
    chosen = config.augmentation
    mixing = [f"{each} {exact(chosen[each])}" for each in _ON_DEVICE if chosen[each]]
    changes = ", ".join([chosen.crop, *chosen.changes, *mixing])
    title = f"{dataset.name} {config.train_split}, step {given.step}, {size} px: {changes}"
    labels = captions(targets[:shown], dataset.class_names)
    _write(grid(pictures[:shown], labels, title), Path(given.out))
    print(f"wrote {given.out}: {shown} of {len(pictures)} pictures of step {given.step}")


if __name__ == "__main__":
    command.run(main, _define_flags)
