"""What a network makes of one picture, stage by stage."""

import contextlib
import dataclasses
from pathlib import Path

import numpy as np

from benchmarks import tasks
from benchmarks.errors import ConfigError
from benchmarks.explain import attribution, features
from benchmarks.inference.predict import split_batches
from benchmarks.inference.trained_model import TrainedModel
from input_pipeline import decoding, loader, resizing
from input_pipeline.errors import DataError
from input_pipeline.names import printable

_TOP_LABELS = 5
# Smaller maps are too coarse for Grad-CAM to show a place.
_SMALLEST_CAM = 4


@dataclasses.dataclass(frozen=True)
class Channel:
    """A channel of a stage.

    Attributes:
      index: its position in the stage.
      map: its response to the picture, float32 [height, width].
      synthetic: an input that excites it, uint8 [side, side, 3].
      synthetic_peak: the channel's highest value anywhere in that.
      pictures: those of the dataset that excite it most, uint8 [pictures, side, side, 3], the strongest first.
      peaks: the channel's highest value anywhere in each of them, float32 [pictures].
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
      shape: (height, width, channels) of its output for one picture.
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
      model: its name with its options.
      source: the run's folder or the file of weights.
      picture: as the network sees it, uint8 [side, side, 3].
      picture_name: its file's name, or the split that it is from.
      decision: the labels that the picture is given.
      labels: the most confident ones first; Grad-CAM and occlusion are about the first.
      confidences: those of the labels, in the same order.
      cam_stage: the last stage whose maps are large enough to show a place.
      occlusion: how much confidence is lost when each place is hidden, float32 [side, side].
      filters: the kernels of the first convolution, float32 [filters, height, width, 3].
      stages: in order.
      searched: how many pictures of the dataset were searched, and of which split.
      steps: how many steps of gradient ascent made each synthetic input.
      remarks: where the weights were used otherwise than their description or run says.
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
    remarks: tuple[str, ...] = ()


def explain(
    trained: TrainedModel,
    picture: str | Path | None = None,
    *,
    channels: int = 4,
    pictures: int = 5,
    examples: int = 500,
    steps: int = 64,
) -> Explanation:
    """Returns what a network makes of a picture.

    Args:
      trained: from `trained_model.from_run` or `trained_model.from_weights`.
      picture: a file; the first of the test split that can be read if none is given.
      channels: how many of each stage to show.
      pictures: how many of the dataset to show for each channel.
      examples: how many pictures of the training split are searched for them; 0 for none.
      steps: how many steps of gradient ascent to spend on each synthetic input.

    Raises:
      ConfigError, DataError: the picture or the dataset cannot be read, or a number is below 1.
    """
    if min(channels, pictures, steps) < 1:
        raise ConfigError("channels, pictures and steps are whole numbers from 1.")
    image, name = _picture(trained, picture)
    (confidence,), (raw,) = attribution.confidences(trained, image[None])
    order = np.argsort(-confidence, kind="stable")[:_TOP_LABELS]
    look = attribution.look(trained, image)
    searched = _pictures(trained, examples) if examples else np.zeros((0, *image.shape), np.uint8)
    by_stage = _channels(trained, look, image, searched, channels, pictures, steps)
    return Explanation(
        model=trained.label,
        source=trained.source,
        picture=image,
        picture_name=name,
        decision=trained.decide(confidence, raw),
        labels=tuple(trained.logit_names[label] for label in order),
        confidences=tuple(map(float, confidence[order])),
        cam_stage=_cam_stage(look),
        occlusion=attribution.occlusion(trained, image, look.logit),
        filters=features.first_filters(trained),
        stages=tuple(
            Stage(stage, _shape(look.maps[stage]), look.cams[stage], by_stage[stage])
            for stage in look.maps
        ),
        searched=(len(searched), trained.config.train_split),
        steps=steps,
        remarks=trained.remarks,
    )


def _channels(
    trained: TrainedModel,
    look: attribution.Look,
    image: np.ndarray,
    searched: np.ndarray,
    channels: int,
    pictures: int,
    steps: int,
) -> dict[str, tuple[Channel, ...]]:
    """Returns, for each stage, the channels that the picture excites most, and what else excites them.

    Args:
      trained: the model.
      look: what it makes of the picture.
      image: the picture, uint8 [side, side, 3].
      searched: the dataset's pictures to search, uint8 [pictures, side, side, 3].
      channels: how many of each stage.
      pictures: how many of the dataset for each channel.
      steps: how many steps of gradient ascent to spend on each synthetic input.
    """
    chosen = features.strongest_channels(look.maps, channels)
    peaks = features.peak_activations(trained, searched, chosen)
    widths = {stage: each.shape[-1] for stage, each in look.maps.items()}
    gray = bool((image == image[..., :1]).all())
    synthetic = features.synthetic_inputs(trained, chosen, widths, steps=steps, gray=gray)
    # All stages' synthetic inputs in a row: a channel's own is at the first of its stage plus its place in the stage.
    reached = features.peak_activations(trained, np.concatenate([*synthetic.values()]), chosen)
    by_stage, first = {}, 0
    for stage, indices in chosen.items():
        best = np.argsort(-peaks[stage], axis=0, kind="stable")[:pictures]
        by_stage[stage] = tuple(
            Channel(
                index=index,
                map=look.maps[stage][..., index],
                synthetic=synthetic[stage][place],
                synthetic_peak=float(reached[stage][first + place, place]),
                pictures=searched[best[:, place]],
                peaks=peaks[stage][best[:, place], place],
            )
            for place, index in enumerate(indices)
        )
        first += len(indices)
    return by_stage


def _cam_stage(look: attribution.Look) -> str:
    """Returns the last stage whose maps are large enough to show a place."""
    large = [stage for stage, cam in look.cams.items() if min(cam.shape) >= _SMALLEST_CAM]
    return large[-1] if large else next(iter(look.cams))


def _shape(maps: np.ndarray) -> tuple[int, int, int]:
    height, width, channels = maps.shape
    return height, width, channels


def _picture(trained: TrainedModel, path: str | Path | None) -> tuple[np.ndarray, str]:
    """Returns (the picture as evaluation sees it, what to call it)."""
    if path is not None:
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{printable(path)} cannot be read: {error.strerror or error}."
            ) from None
        seen = resizing.evaluate_picture(
            decoding.decode(data, lambda: printable(path), trained.config.max_pixels),
            trained.image_size,
            trained.config.crop_fraction,
            trained.config.interpolation,
        )
        return seen, printable(Path(path).name)
    split = trained.config.test_split or trained.config.validation_split
    with contextlib.closing(_batches(trained, split)) as batches:
        for batch in batches:
            for place in np.flatnonzero(batch["mask"]):
                return batch["image"][place], f"{trained.config.dataset} {split}, the first picture"
    raise DataError(f"no picture of {trained.config.dataset} {split} can be read")


def _pictures(trained: TrainedModel, examples: int) -> np.ndarray:
    """Returns the first pictures of the training split, as evaluation sees them."""
    kept, count = [], 0
    with contextlib.closing(_batches(trained, trained.config.train_split)) as batches:
        for batch in batches:
            kept.append(batch["image"][batch["mask"] > 0][: examples - count])
            count += len(kept[-1])
            if count >= examples:
                break
    return np.concatenate(kept)


def _batches(trained: TrainedModel, split: str) -> loader.Batches:
    config = trained.config.copy_and_resolve_references()
    config.eval_crops = 1
    setup = dataclasses.replace(trained.setup, config=config)
    return split_batches(setup, tasks.load_dataset(config), split)
