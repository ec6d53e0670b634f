"""From how many values batch norm takes its statistics, where a batch is worked on in parts."""

import functools

from ml_collections import ConfigDict

from benchmarks.config import derived
from benchmarks.errors import ConfigError
from benchmarks.steps import freezing
from models.summary import batch_norm_pixels

# Of MobileNet at 32 pixels, whose last maps are a pixel each: parts of 16 and of 8 images train as one batch of 32
# does, within 2 percentage points; parts of 4 lose 15, and parts of 2 nearly all.
FEWEST_VALUES = 8


def check(config: ConfigDict, accumulation: int, devices: int = 1) -> None:
    """Checks that batch norm has enough values for its statistics, in training.

    Args:
      config: the run's.
      accumulation: how many parts a batch is split into.
      devices: on how many of them a part is, if `config.batch_norm_scope` is "device".

    Raises:
      ConfigError: in some layer a channel has a single value, or the batch is worked on in parts in which it has fewer
        than `FEWEST_VALUES`.
    """
    parts = accumulation * (devices if config.batch_norm_scope == "device" else 1)
    images = config.batch_size // parts
    least = 2 if parts == 1 else FEWEST_VALUES
    if images >= least:  # whatever the maps' sizes; other runs need no tracing
        return
    side = min(derived.train_sizes(config))
    layer, pixels = _smallest_maps(config.model, side, freezing.of(config).variables)
    if not layer or images * pixels >= least:
        return
    ways = "a larger batch or larger images" + (
        ", fewer parts, or config.remat=true, which saves memory and changes no statistics"
        if parts > 1
        else ""
    )
    raise ConfigError(
        f"batch norm needs {least} values or more for a channel's statistics, and with {images} image"
        f"{'s' * (images != 1)} at a time {layer} of {config.model} has {images * pixels}: use {ways}."
    )


@functools.cache
def _smallest_maps(model: str, side: int, frozen: frozenset[tuple[str, ...]]) -> tuple[str, int]:
    """Returns the layer of batch norm that is trained and has the fewest pixels, and how many; ("", 0) without one."""
    kept = {".".join(map(str, path[:-1])) for path in frozen}
    return min(
        (
            (layer, pixels)
            for layer, pixels in batch_norm_pixels(model, side).items()
            if layer not in kept
        ),
        key=lambda each: each[1],
        default=("", 0),
    )
