"""Composed digits: what is in them, from which scans, and that they never change."""

import collections
import hashlib

import numpy as np
import pytest

from input_pipeline import digits, digits_multilabel
from input_pipeline.decoding import decode

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def compositions():
    return {split: digits_multilabel.compositions(split) for split in SPLITS}


def test_splits_have_the_announced_sizes(composed):
    assert composed.split_sizes == {"test": 1000, "train": 4000, "validation": 500}
    assert composed.class_names == tuple("0123456789")
    assert composed.multi_label


def test_no_scan_is_in_the_pictures_of_two_splits(compositions):
    _, labels = digits.scans()
    whole = digits.split_indices(labels)
    used = {
        split: {scan for each in pictures for scan in each.scans}
        for split, pictures in compositions.items()
    }
    for split in SPLITS:
        assert used[split] <= set(whole[split].tolist())
    assert not used["train"] & used["test"]
    assert not used["validation"] & (used["train"] | used["test"])


def test_pictures_have_one_to_four_scans_in_places_of_their_own(compositions):
    counts = collections.Counter(len(each.scans) for each in compositions["train"])
    # Each number as often, to within five standard deviations.
    assert set(counts) == {1, 2, 3, 4}
    assert all(abs(count - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5 for count in counts.values())
    for each in compositions["train"]:
        assert len(set(each.places)) == len(each.places) == len(each.scans)
    places = collections.Counter(place for each in compositions["train"] for place in each.places)
    assert max(places.values()) < 1.1 * min(places.values())


def test_a_picture_shows_its_scans_and_is_labeled_with_their_digits(composed, compositions):
    pictures, labels = digits.scans()
    corners = {(0, 0): 0, (0, 8): 1, (8, 0): 2, (8, 8): 3}
    expected = collections.Counter()
    for scans, places in compositions["validation"]:
        quarters = [np.zeros((8, 8), np.uint8)] * 4
        for scan, place in zip(scans, places, strict=True):
            quarters[place] = pictures[scan]
        key = b"".join(quarter.tobytes() for quarter in quarters)
        expected[key, tuple(sorted({int(labels[scan]) for scan in scans}))] += 1
    counts = collections.Counter()
    source = composed.source("validation")
    for index in range(len(source)):
        example = source[index]
        gray = decode(example["image"])[..., 0]
        quarters = [gray[row : row + 8, column : column + 8] for row, column in corners]
        key = b"".join(quarter.tobytes() for quarter in quarters)
        counts[key, tuple(np.flatnonzero(example["label"]).tolist())] += 1
    assert counts == expected


def test_the_pictures_are_the_same_on_every_machine(compositions):
    digest = hashlib.sha256()
    for split in SPLITS:
        for each in compositions[split]:
            digest.update(digits_multilabel.compose(each).tobytes())
    assert digest.hexdigest() == (
        "8168a3e6e6c8148184d50ad5910d4f1daba65034b534a98a6bfa29dc3f8850cb"
    )
