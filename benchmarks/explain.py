"""What a trained network has learned, stage by stage, as one HTML page.

    python -m benchmarks.explain --workdir=runs/digits/runs/resnet50-seed0
    python -m benchmarks.explain --model=resnet50 --weights=FILE --out=DIR picture.jpg

For a picture (one of the test split if none is named): the decision, where it comes from (Grad-CAM, occlusion), the
filters of the first convolution, and for each stage the channels that answer most: their feature maps, a synthetic
input that excites each, and the pictures of the dataset that do. Writes `OUT/explain.html`, which needs nothing else;
with --pngs every picture of it as a file too.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags

from benchmarks import attribution, commands, evaluation, explain_page, features, trained
from benchmarks.errors import ConfigError
from input_pipeline import datasets, decoding, resizing
from input_pipeline.errors import DataError

_TOP_LABELS = 5
# Grad-CAM of smaller maps says nothing of where.
_SMALLEST_CAM = 4


@dataclasses.dataclass(frozen=True)
class Channel:
    """A channel of a stage.

    Attributes:
      index: which one.
      map: what it answers to the picture, float32 [height, width].
      synthetic: an input that excites it, uint8 [side, side, 3].
      pictures: those of the dataset that excite it most, uint8 [pictures, side, side, 3], the strongest first.
      peaks: how much they do, float32 [pictures].
    """

    index: int
    map: np.ndarray
    synthetic: np.ndarray
    pictures: np.ndarray
    peaks: np.ndarray


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of the network.

    Attributes:
      name: as the model has it.
      shape: of its output for one picture: height, width, channels.
      cam: Grad-CAM of the decision on this stage's maps, float32 [height, width].
      channels: those that the picture excites most, on average over the map.
    """

    name: str
    shape: tuple[int, int, int]
    cam: np.ndarray
    channels: tuple[Channel, ...]


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What a network makes of a picture.

    Attributes:
      model: with its options.
      source: the run's folder or the file of weights.
      picture: as the network sees it, uint8 [side, side, 3].
      picture_name: where it is from.
      labels: the most confident ones first.
      confidences: theirs.
      cam_stage: the last stage whose maps are large enough to show a place.
      occlusion: how much confidence is lost where the picture is hidden, float32 [side, side].
      filters: of the first convolution, float32 [filters, height, width, 3].
      stages: in order.
      searched: how many pictures of the dataset were looked through, and of which split.
      steps: of gradient ascent behind each synthetic input.
    """

    model: str
    source: str
    picture: np.ndarray
    picture_name: str
    labels: tuple[str, ...]
    confidences: tuple[float, ...]
    cam_stage: str
    occlusion: np.ndarray
    filters: np.ndarray
    stages: tuple[Stage, ...]
    searched: tuple[int, str]
    steps: int


def explain(
    found: trained.Trained,
    picture: str | Path | None = None,
    *,
    channels: int = 4,
    pictures: int = 5,
    examples: int = 500,
    steps: int = 96,
) -> Explanation:
    """Returns what a network makes of a picture.

    Args:
      found: from `trained.from_run` or `trained.from_weights`.
      picture: a file; the first of the test split that can be read if none is given.
      channels: how many of each stage.
      pictures: how many of the dataset for each channel.
      examples: how many pictures of the training split are looked through for them; 0 for none.
      steps: of gradient ascent for each synthetic input.

    Raises:
      ConfigError, DataError: the picture or the dataset cannot be read, or a number is below 1.
    """
    if min(channels, pictures, steps) < 1:
        raise ConfigError("channels, pictures and steps are whole numbers from 1.")
    image, name = _picture(found, picture)
    (confidences,) = attribution.confidences(found, image[None])
    order = np.argsort(-confidences, kind="stable")[:_TOP_LABELS]
    maps = features.feature_maps(found, image)
    chosen = features.strongest_channels(maps, channels)
    cams = attribution.grad_cam(found, image, int(order[0]))
    seen = _pictures(found, examples) if examples else np.zeros((0, *image.shape), np.uint8)
    peaks = features.peak_activations(found, _in_batches(seen), chosen)
    grey = bool((image == image[..., :1]).all())
    synthetic = features.synthetic_inputs(found, chosen, steps=steps, grey=grey)

    def channel(stage: str, place: int) -> Channel:
        values = peaks[stage][:, place]
        best = np.argsort(-values, kind="stable")[:pictures]
        index = chosen[stage][place]
        return Channel(
            index, maps[stage][..., index], synthetic[stage][place], seen[best], values[best]
        )

    large = [each for each, cam in cams.items() if min(cam.shape) >= _SMALLEST_CAM]
    return Explanation(
        model=found.label,
        source=found.source,
        picture=image,
        picture_name=name,
        labels=tuple(found.class_names[label] for label in order),
        confidences=tuple(map(float, confidences[order])),
        cam_stage=large[-1] if large else next(iter(cams)),
        occlusion=attribution.occlusion(found, image, int(order[0])),
        filters=features.first_filters(found),
        stages=tuple(
            Stage(
                each,
                maps[each].shape,
                cams[each],
                tuple(channel(each, place) for place in range(len(chosen[each]))),
            )
            for each in maps
        ),
        searched=(len(seen), found.config.train_split),
        steps=steps,
    )


def _picture(found: trained.Trained, path: str | Path | None) -> tuple[np.ndarray, str]:
    """Returns (the picture as evaluation sees it, what to call it)."""
    if path is not None:
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None
        seen = resizing.evaluate_picture(
            decoding.decode(data, lambda: str(path)),
            found.image_size,
            found.config.crop_fraction,
            found.config.interpolation,
        )
        return seen, Path(path).name
    split = found.config.test_split or found.config.validation_split
    with contextlib.closing(_batches(found, split)) as batches:
        for batch in batches:
            for place in np.flatnonzero(batch["mask"]):
                return batch["image"][place], f"{found.config.dataset} {split}, the first picture"
    raise DataError(f"no picture of {found.config.dataset} {split} can be read")


def _pictures(found: trained.Trained, examples: int) -> np.ndarray:
    """Returns the first pictures of the training split, as evaluation sees them."""
    kept, count = [], 0
    with contextlib.closing(_batches(found, found.config.train_split)) as batches:
        for batch in batches:
            kept.append(batch["image"][batch["mask"] > 0][: examples - count])
            count += len(kept[-1])
            if count >= examples:
                break
    return np.concatenate(kept)


def _batches(found: trained.Trained, split: str) -> Iterator[dict[str, np.ndarray]]:
    config = found.config.copy_and_resolve_references()
    config.eval_crops = 1
    dataset = datasets.load(config.dataset, config.data_dir or None, config.positive_class)
    return evaluation.batches(config, dataset, split)


def _in_batches(images: np.ndarray, size: int = 64) -> list[np.ndarray]:
    return [images[start : start + size] for start in range(0, len(images), size)]


def define_flags() -> None:
    trained.define_flags()
    flags.DEFINE_string("out", None, "The folder to write; WORKDIR/explain by default.")
    flags.DEFINE_boolean("pngs", False, "Write every picture as a file too.")
    flags.DEFINE_string("dataset", None, "Whose pictures are shown; the run's by default.")
    flags.DEFINE_string("data_dir", None, "Where prepared datasets lie.")
    flags.DEFINE_string("image_size", None, "Pixels a side; the run's or the model's by default.")
    flags.DEFINE_integer("channels", 4, "Of each stage.", lower_bound=1)
    flags.DEFINE_integer("pictures", 5, "Of the dataset, for each channel.", lower_bound=1)
    flags.DEFINE_integer("examples", 500, "Looked through for them; 0 for none.", lower_bound=0)
    flags.DEFINE_integer("steps", 96, "Of ascent for each synthetic input.", lower_bound=1)


def main(paths: list[str]) -> int:
    commands.restart_with_allocator()
    commands.use_compilation_cache()
    given = flags.FLAGS
    if len(paths) > 1:
        raise ConfigError(f"one picture at a time is explained, not {len(paths)}.")
    if not given.workdir and not given.out:
        raise ConfigError("say --out=DIR.")
    if not given.workdir and not given.dataset and not paths:
        raise ConfigError("say which picture, or --dataset.")
    changes = {
        name: getattr(given, name)
        for name in ("dataset", "data_dir", "image_size")
        if getattr(given, name) is not None
    }
    found = trained.from_flags(**changes)
    explanation = explain(
        found,
        paths[0] if paths else None,
        channels=given.channels,
        pictures=given.pictures,
        examples=given.examples if given.workdir or given.dataset else 0,
        steps=given.steps,
    )
    out = Path(given.out or Path(given.workdir) / "explain")
    written = explain_page.write(explanation, out, pngs=given.pngs)
    for path in written:
        print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    commands.run(main, define_flags, takes_arguments=True)
