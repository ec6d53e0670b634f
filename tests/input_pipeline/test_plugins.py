"""Crops, changes and datasets that somebody else registers."""

import importlib
import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import registered

import input_pipeline
from input_pipeline import DataError, augmentation, batches, builders, datasets, loader
from input_pipeline.resizing import Box
from isobudget import plugins

pytestmark = pytest.mark.usefixtures("registries")


@pytest.fixture
def plugin(somebodys_plugin):
    """The name of a plug-in that is loaded."""
    plugins.load([somebodys_plugin])
    return somebodys_plugin


@pytest.fixture
def shades(plugin):
    """A builder of two pictures."""
    return importlib.import_module(plugin).Shades


def png(level):
    """Returns a picture of 4 x 4 pixels of one gray level, encoded."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (level, level, level)).save(file, "PNG")
    return file.getvalue()


def seen(chosen):
    """Returns what training sees of a gray picture of 4 x 4 pixels, uint8 [2, 2, 3]."""
    rng = np.random.default_rng(0)
    return batches.training_picture(png(10), augmentation.create(chosen), 2, rng)


@pytest.mark.usefixtures("plugin")
def test_a_plug_ins_options_are_among_the_defaults():
    defaults = augmentation.defaults()
    assert defaults["corner"] == {"share": 0.5}
    assert defaults["invert"] == {"probability": 1.0, "channels": (0, 1, 2)}


@pytest.mark.usefixtures("plugin")
def test_training_applies_a_plug_ins_crop_and_change_with_their_options():
    assert (seen({"crop": "corner", "changes": ("invert",)}) == 245).all()
    picture = seen({"changes": ("invert",), "invert": {"channels": (1,)}})
    assert picture[0, 0].tolist() == [10, 245, 10]
    with pytest.raises(DataError, match="did you mean share"):
        augmentation.create({"crop": "corner", "corner": {"shar": 1.0}})


@pytest.mark.usefixtures("plugin")
def test_worker_processes_apply_them_too(digits):
    def first_batch(changes, num_workers):
        reading = loader.train_batches(
            digits,
            "train",
            image_size=8,
            batch_size=4,
            num_steps=1,
            seed=0,
            augmentation=augmentation.create({"changes": changes}),
            num_workers=num_workers,
        )
        image = next(reading)["image"].copy()
        reading.close()
        return image

    np.testing.assert_array_equal(first_batch(("invert",), 1), 255 - first_batch((), 0))


@pytest.mark.parametrize("chosen", [{}, {"crop": "random_resized"}])
def test_a_change_that_returns_another_picture_is_named(chosen):
    @input_pipeline.register_change("halve")
    def halve(picture, rng):
        return picture[::2]

    @input_pipeline.register_change("to_float")
    def to_float(picture, rng, *, scale=1.0):
        return picture * scale

    @input_pipeline.register_change("forget")
    def forget(picture, rng):
        pass

    for name, returned in (
        ("halve", r"uint8 \[1, 2, 3\]"),
        ("to_float", r"float64 \[2, 2, 3\]"),
        ("forget", "a NoneType"),
    ):
        sentence = rf"'{name}' has to return .* uint8 \[2, 2, 3\], not {returned}$"
        with pytest.raises(DataError, match=sentence):
            seen(chosen | {"changes": ("flip", name), name: {}})
    with pytest.raises(DataError, match="'to_float'"):
        seen(chosen | {"changes": ("to_float",), "to_float": {"scale": 2.0}})


@pytest.mark.parametrize(
    "box",
    [
        Box(-1, 0, 2, 2),
        Box(0, 3, 2, 2),
        Box(0, 0, 0, 4),
        Box(0, 0, 4, float("nan")),
        (0, 0, 2, 2),
        None,
    ],
)
def test_a_crop_that_returns_no_part_of_the_picture_is_named(box):
    @input_pipeline.register_crop("outside")
    def outside(rows, columns, image_size, rng):
        return box

    with pytest.raises(DataError, match=r"'outside' has to return a Box inside .* 4 x 4 pixels"):
        seen({"crop": "outside"})


def test_a_broken_change_is_not_mistaken_for_pictures_that_cannot_be_read(digits):
    @input_pipeline.register_change("halve")
    def halve(picture, rng):
        return picture[::2]

    chosen = augmentation.create({"changes": ("halve",)})
    reading = loader.train_batches(
        digits, "train", image_size=8, batch_size=4, num_steps=1, seed=0, augmentation=chosen
    )
    with pytest.raises(DataError, match="the change 'halve' has to return"):
        next(reading)


@pytest.mark.parametrize("register", [input_pipeline.register_crop, input_pipeline.register_change])
def test_a_name_that_is_taken_is_one_sentence_that_says_by_whom(register, plugin):
    def mine(*, unused=0):
        pass

    with pytest.raises(DataError, match=r"input_pipeline\.augmentation has a change of that name"):
        register("flip")(mine)
    with pytest.raises(DataError, match=r"input_pipeline\.augmentation has a crop of that name"):
        register("random_side")(mine)
    with pytest.raises(DataError, match=f"of {__name__} needs another name: {plugin} has a crop"):
        register("corner")(mine)


@pytest.mark.parametrize(
    "name", ["crop", "changes", "repeats", "random_erasing", "mixup", "cutmix"]
)
def test_a_field_of_the_configuration_is_no_name(name):
    with pytest.raises(DataError, match=f"'{name}' cannot be .* config.augmentation.{name} is"):
        input_pipeline.register_change(name)(lambda picture, rng: picture)


@pytest.mark.parametrize("name", ["", "two words", "my-crop", "3d", "a.b"])
def test_what_is_no_identifier_is_no_name(name):
    with pytest.raises(DataError, match="letters, digits and _"):
        input_pipeline.register_crop(name)(lambda rows, columns, image_size, rng: None)


@pytest.mark.parametrize(
    ("function", "option"),
    [
        (lambda picture, rng, *, strength: picture, "strength"),
        (lambda picture, rng, *, strength=None: picture, "strength"),
        (lambda picture, rng, *, levels=[1]: picture, "levels"),
        (lambda picture, rng, *, levels=([1],): picture, "levels"),
    ],
)
def test_an_option_needs_a_default_that_a_configuration_can_hold(function, option):
    with pytest.raises(DataError, match=f"the option '{option}' of the change 'mine' needs"):
        input_pipeline.register_change("mine")(function)
    assert "mine" not in augmentation.CHANGES


@pytest.mark.parametrize(
    "function",
    [
        lambda picture: picture,
        lambda picture, rng, strength=1.0: picture,
        lambda picture, *rng: picture,
        lambda picture, rng, **options: picture,
    ],
)
def test_other_parameters_are_one_sentence(function):
    with pytest.raises(DataError, match=r"has to take \(picture, rng\), and any options by name"):
        input_pipeline.register_change("mine")(function)


def derived(base, **attributes):
    return type("Derived", (base,), attributes, skip_registration=True)


@pytest.mark.usefixtures("plugin")
def test_a_registered_dataset_is_written_on_first_use_and_loaded_by_its_name(tmp_path):
    dataset = datasets.load("shades", str(tmp_path))
    assert (dataset.version, dataset.class_names) == ("1.0.0", ("dark", "light"))
    (records,) = (tmp_path / "shades" / "1.0.0").glob("*.array_record*")
    written = records.stat()
    source = datasets.load("shades", str(tmp_path)).source("train")
    assert {source[i]["label"]: source[i]["image"] for i in range(2)} == {0: png(10), 1: png(200)}
    assert records.stat() == written
    with pytest.raises(DataError, match="did you mean shades"):
        datasets.load("shade", str(tmp_path))


def test_a_dataset_may_have_another_name_than_its_class(shades, tmp_path):
    assert input_pipeline.register_dataset("Two_tones")(shades) is shades
    dataset = datasets.load("Two_tones", str(tmp_path))
    assert (dataset.name, dataset.num_examples("train")) == ("Two_tones", 2)
    assert dataset.source("train")[0]["image"] in (png(10), png(200))


def test_the_registered_version_is_read_even_beside_a_newer_one(shades, tmp_path):
    newer = derived(shades, VERSION=tfds.core.Version("1.1.0"))
    input_pipeline.register_dataset("tones")(newer)
    assert datasets.load("tones", str(tmp_path)).version == "1.1.0"
    del builders._builders["tones"]
    input_pipeline.register_dataset("tones")(shades)
    assert datasets.load("tones", str(tmp_path)).version == "1.0.0"
    assert datasets.load("tones:1.1.0", str(tmp_path)).version == "1.1.0"


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("digits", "input_pipeline.digits"),
        ("shades", "somebodys_plugin"),
        ("synthetic", "input_pipeline.synthetic"),
        ("mnist", "TFDS's catalog"),
    ],
)
def test_a_dataset_name_that_is_taken_is_one_sentence_that_says_by_whom(name, owner, shades):
    with pytest.raises(DataError, match=f"another name: {owner} has a dataset of that name"):
        input_pipeline.register_dataset(name)(shades)


@pytest.mark.parametrize("name", ["folder:shades", "shades/small", "shades:1.0.0", "_shades", ""])
def test_a_dataset_name_means_nothing_else(name, shades):
    with pytest.raises(DataError, match="cannot be the name of a dataset"):
        input_pipeline.register_dataset(name)(shades)


def test_a_builder_that_tfds_has_registered_too_is_accepted(monkeypatch):
    monkeypatch.setattr(registered, "_DATASET_REGISTRY", dict(registered._DATASET_REGISTRY))

    @input_pipeline.register_dataset("two_shades")
    class TwoShades(tfds.testing.DummyDataset):
        pass

    assert "two_shades" in tfds.list_builders(with_community_datasets=False)
    assert "two_shades" in datasets.own_names()


def test_what_is_no_builder_of_one_dataset_is_one_sentence(shades):
    several = derived(shades, BUILDER_CONFIGS=[tfds.core.BuilderConfig(name="small")])
    for wrong in (several, derived(shades, VERSION=None), dict, len):
        with pytest.raises(DataError, match="with a VERSION and without BUILDER_CONFIGS"):
            input_pipeline.register_dataset("tones")(wrong)


def test_a_builder_that_fails_is_one_sentence_and_leaves_nothing(shades, tmp_path):
    def fail(self):
        raise KeyError("label")

    input_pipeline.register_dataset("tones")(derived(shades, _generate_examples=fail))
    sentence = (
        r"dataset 'tones' of .* cannot be written: KeyError: 'label' \(.*test_plugins.py, line"
    )
    with pytest.raises(DataError, match=sentence):
        datasets.load("tones", str(tmp_path))
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
