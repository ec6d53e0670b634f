"""What a network makes of one picture, stage by stage."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import tasks
from benchmarks.errors import ConfigError
from benchmarks.explain import attribution, features
from benchmarks.inference import trained_model
from benchmarks.inference.predict import split_batches
from input_pipeline import decoding, resizing
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
      synthetic_peak: how much that does.
      pictures: those of the dataset that excite it most, uint8 [pictures, side, side, 3], the strongest first.
      peaks: how much they do, float32 [pictures].
    """

    index: int
    map: np.ndarray
    synthetic: np.ndarray
    synthetic_peak: float
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
      decision: the labels that the picture is given.
      labels: the most confident ones first; Grad-CAM and occlusion are about the first.
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
    decision: tuple[str, ...]
    labels: tuple[str, ...]
    confidences: tuple[float, ...]
    cam_stage: str
    occlusion: np.ndarray
    filters: np.ndarray
    stages: tuple[Stage, ...]
    searched: tuple[int, str]
    steps: int


def explain(
    found: trained_model.Trained,
    picture: str | Path | None = None,
    *,
    channels: int = 4,
    pictures: int = 5,
    examples: int = 500,
    steps: int = 64,
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
    look = attribution.look(found, image)
    maps, cams = look.maps, look.cams
    chosen = features.strongest_channels(maps, channels)
    seen = _pictures(found, examples) if examples else np.zeros((0, *image.shape), np.uint8)
    peaks = features.peak_activations(found, seen, chosen)
    widths = {name: each.shape[-1] for name, each in maps.items()}
    grey = bool((image == image[..., :1]).all())
    synthetic = features.synthetic_inputs(found, chosen, widths, steps=steps, grey=grey)

    reached = features.peak_activations(found, np.concatenate([*synthetic.values()]), chosen)
    first_of = dict(
        zip(chosen, np.cumsum([0, *map(len, chosen.values())])[:-1].tolist(), strict=True)
    )

    def channel(stage: str, place: int) -> Channel:
        values = peaks[stage][:, place]
        best = np.argsort(-values, kind="stable")[:pictures]
        index = chosen[stage][place]
        return Channel(
            index=index,
            map=maps[stage][..., index],
            synthetic=synthetic[stage][place],
            synthetic_peak=float(reached[stage][first_of[stage] + place, place]),
            pictures=seen[best],
            peaks=values[best],
        )

    large = [each for each, cam in cams.items() if min(cam.shape) >= _SMALLEST_CAM]
    return Explanation(
        model=found.label,
        source=found.source,
        picture=image,
        picture_name=name,
        decision=_decision(found, confidences),
        labels=tuple(found.logit_names[label] for label in order),
        confidences=tuple(map(float, confidences[order])),
        cam_stage=large[-1] if large else next(iter(cams)),
        occlusion=attribution.occlusion(found, image, look.logit),
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


def _decision(found: trained_model.Trained, confidences: np.ndarray) -> tuple[str, ...]:
    above = None if found.thresholds is None else confidences >= found.thresholds
    return found.model.task.decide(confidences, above, found.class_names)


def _picture(found: trained_model.Trained, path: str | Path | None) -> tuple[np.ndarray, str]:
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


def _pictures(found: trained_model.Trained, examples: int) -> np.ndarray:
    """Returns the first pictures of the training split, as evaluation sees them."""
    kept, count = [], 0
    with contextlib.closing(_batches(found, found.config.train_split)) as batches:
        for batch in batches:
            kept.append(batch["image"][batch["mask"] > 0][: examples - count])
            count += len(kept[-1])
            if count >= examples:
                break
    return np.concatenate(kept)


def _batches(found: trained_model.Trained, split: str) -> Iterator[dict[str, np.ndarray]]:
    config = found.config.copy_and_resolve_references()
    config.eval_crops = 1
    dataset = tasks.load_dataset(config)
    return split_batches(config, dataset, split)
