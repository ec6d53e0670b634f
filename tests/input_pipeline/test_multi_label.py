"""Pictures with any number of labels: TFDS's datasets of that kind, their batches, and a class against the rest."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from input_pipeline import DataError, datasets, digits, loader, preview

_CLASSES = tfds.features.ClassLabel(names=["aeroplane", "bicycle", "bird"])
_LISTED = tfds.features.Sequence(_CLASSES)
# What TFDS's own builders of these names declare, with fewer classes.
_FEATURES = {
    "voc": {
        "image": tfds.features.Image(),
        "image/filename": tfds.features.Text(),
        "objects": tfds.features.Sequence(
            {"label": _CLASSES, "bbox": tfds.features.BBoxFeature(), "is_difficult": np.bool_}
        ),
        "labels": _LISTED,
        "labels_no_difficult": _LISTED,
    },
    "imagenet2012_multilabel": {
        "image": tfds.features.Image(encoding_format="jpeg"),
        "original_label": _CLASSES,
        "correct_multi_labels": _LISTED,
        "wrong_multi_labels": _LISTED,
        "unclear_multi_labels": _LISTED,
        "is_problematic": tfds.features.Tensor(shape=(), dtype=np.bool_),
        "file_name": tfds.features.Text(),
    },
    "cats_vs_dogs": {
        "image": tfds.features.Image(),
        "image/filename": tfds.features.Text(),
        "label": tfds.features.ClassLabel(names=["cat", "dog"]),
    },
    "boxes": {
        "image": tfds.features.Image(),
        "objects": tfds.features.Sequence({"label": _CLASSES}),
    },
}
_SUPERVISED = {
    "imagenet2012_multilabel": ("image", "correct_multi_labels"),
    "cats_vs_dogs": ("image", "label"),
}
_CONFIGS = {"voc": [tfds.core.BuilderConfig(name="2007", version="5.0.0")]}
_LABELS = ((), (2,), (0, 2), (1, 1))


class Fabricated(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Four pictures with the labels of `_LABELS`."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(_FEATURES[self.name]),
            supervised_keys=_SUPERVISED.get(self.name),
        )

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples()}

    def _generate_examples(self):
        picture = digits.png(np.zeros((8, 8), np.uint8))
        for number, labels in enumerate(_LABELS):
            others = [label for label in range(3) if label not in labels]
            box = tfds.features.BBox(0.0, 0.0, 0.5, 0.5)
            values = {
                "image": picture,
                "image/filename": f"{number}.jpg",
                "file_name": f"{number}.jpg",
                "objects": [
                    {"label": label, "bbox": box, "is_difficult": True} for label in labels
                ],
                "label": number % 2,
                "labels": labels,
                "labels_no_difficult": (),
                "original_label": 0,
                "correct_multi_labels": labels,
                "wrong_multi_labels": others,
                "unclear_multi_labels": others,
                "is_problematic": False,
            }
            if self.name == "boxes":
                values["objects"] = [{"label": label} for label in labels]
            yield number, {name: values[name] for name in self.info.features}


@pytest.fixture(scope="module")
def fabricated(tmp_path_factory):
    """Where small datasets with the features of TFDS's own lie."""
    directory = str(tmp_path_factory.mktemp("fabricated"))
    tfds.disable_progress_bar()
    for name in _FEATURES:
        title = "".join(part.capitalize() for part in name.split("_"))
        attributes = {"name": name, "BUILDER_CONFIGS": _CONFIGS.get(name, [])}
        builder = type(title, (Fabricated,), attributes, skip_registration=True)
        config = {"config": "2007"} if name in _CONFIGS else {}
        builder(data_dir=directory, file_format="array_record", **config).download_and_prepare()
    return directory


def every(dataset, split):
    """Returns one batch of all examples, and their labels in an order of their own."""
    (batch,) = loader.eval_batches(dataset, split, image_size=8, batch_size=4)
    return batch, sorted(map(tuple, batch["label"].astype(int).tolist()))


@pytest.mark.parametrize("name", ["voc/2007", "voc", "imagenet2012_multilabel"])
def test_listed_classes_are_labels_whatever_else_a_dataset_holds(fabricated, name):
    dataset = datasets.load(name, fabricated)
    assert dataset.multi_label
    assert dataset.class_names == ("aeroplane", "bicycle", "bird")
    batch, labels = every(dataset, "test")
    assert labels == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 1)]
    assert (batch["label"].dtype, batch["label"].shape) == (np.float32, (4, 3))


def test_a_dataset_of_two_classes_stays_one_of_single_labels(fabricated):
    dataset = datasets.load("cats_vs_dogs", fabricated)
    assert (dataset.multi_label, dataset.class_names) == (False, ("cat", "dog"))
    (batch,) = loader.eval_batches(dataset, "test", image_size=8, batch_size=4)
    assert (batch["label"].dtype, sorted(batch["label"])) == (np.int32, [0, 0, 1, 1])


def test_the_other_of_two_classes_can_be_the_positive_one(fabricated):
    dataset = datasets.load("cats_vs_dogs", fabricated, positive_class="cat")
    assert dataset.class_names == ("dog", "cat")
    plain = datasets.load("cats_vs_dogs", fabricated).source("test")
    turned = dataset.source("test")
    assert [turned[i]["label"] for i in range(4)] == [1 - plain[i]["label"] for i in range(4)]


def test_labels_inside_objects_alone_are_no_labels_of_the_picture(fabricated):
    with pytest.raises(DataError, match=r"one class each, or a list of classes .*objects"):
        datasets.load("boxes", fabricated)


def test_a_class_against_the_rest_is_label_1(digits, fabricated):
    threes = datasets.load("digits", str(digits_dir(digits)), positive_class="3")
    assert (threes.num_classes, threes.class_names) == (2, ("not 3", "3"))
    assert threes.name == "digits (3 against the rest)"
    whole, source = digits.source("test"), threes.source("test")
    labels = [whole[i]["label"] for i in range(len(whole))]
    assert [source[i]["label"] for i in range(len(source))] == [int(each == 3) for each in labels]
    birds = datasets.load("voc/2007", fabricated, positive_class="bird")
    assert not birds.multi_label
    assert sorted(birds.source("test")[i]["label"] for i in range(4)) == [0, 0, 1, 1]


def digits_dir(dataset):
    """Returns the data directory that a loaded `digits` lies in."""
    return dataset.open_split.args[0].data_path.parent.parent


def test_a_positive_class_that_is_none_is_one_sentence(data_dir, digits):
    with pytest.raises(DataError, match=r"class of digits.*'three'"):
        datasets.load("digits", data_dir, positive_class="three")


def test_padding_has_no_labels_and_no_weight(fabricated):
    dataset = datasets.load("voc", fabricated)
    (batch,) = loader.eval_batches(dataset, "test", image_size=8, batch_size=7)
    np.testing.assert_array_equal(batch["mask"], [1, 1, 1, 1, 0, 0, 0])
    assert not batch["label"][4:].any()


def test_training_batches_carry_the_labels_of_their_pictures(composed):
    options = {"image_size": 16, "num_steps": 3, "seed": 1}
    whole = list(loader.train_batches(composed, "validation", batch_size=8, **options))
    halves = [
        list(
            loader.train_batches(
                composed, "validation", batch_size=8, shard_index=part, shard_count=2, **options
            )
        )
        for part in range(2)
    ]
    source = composed.source("validation")
    known = {picture(source[i]["image"]).tobytes(): source[i]["label"] for i in range(len(source))}
    for step, batch in enumerate(whole):
        assert batch["label"].shape == (8, 10)
        joined = np.concatenate([half[step]["label"] for half in halves])
        np.testing.assert_array_equal(joined, batch["label"])
        for image, label in zip(batch["image"], batch["label"], strict=True):
            np.testing.assert_array_equal(label, known[image[..., 0].tobytes()])


def picture(data):
    from input_pipeline.decoding import decode

    return np.ascontiguousarray(decode(data)[..., 0])


def test_captions_name_every_label():
    targets = np.array([[0, 1, 1], [0, 0, 0]], np.float32)
    assert preview.captions(targets, ("ant", "bee", "cat")) == ["bee + cat", ""]
