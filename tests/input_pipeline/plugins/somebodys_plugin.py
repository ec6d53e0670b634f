"""A plug-in: a crop, a change and a dataset of two pictures."""

import io

import tensorflow_datasets as tfds
from PIL import Image

from input_pipeline import register_change, register_crop, register_dataset
from input_pipeline.resizing import Box


@register_crop("corner")
def corner(rows, columns, image_size, rng, *, share=0.5):
    return Box(0, 0, share * rows, share * columns)


@register_change("invert")
def invert(picture, rng, *, probability=1.0, channels=(0, 1, 2)):
    inverted = picture.copy()
    inverted[..., list(channels)] = 255 - picture[..., list(channels)]
    return inverted if rng.random() < probability else picture


@register_dataset("shades")
class Shades(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Two shades of gray, a picture of 4 x 4 pixels each."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(4, 4, 3), encoding_format="png"),
                "label": tfds.features.ClassLabel(names=["dark", "light"]),
            }
        )
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for label, level in enumerate((10, 200)):
            yield label, {"image": png(level), "label": label}


def png(level):
    """Returns a picture of 4 x 4 pixels of one gray level, encoded."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (level, level, level)).save(file, "PNG")
    return file.getvalue()
