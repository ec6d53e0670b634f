"""ImageNet's classes are known by synset and by words, and a name that could be two of them is refused."""

import pytest

from models import ModelError, imagenet_classes


def test_there_are_a_thousand_of_each_in_the_order_of_the_synsets():
    assert len(set(imagenet_classes.SYNSETS)) == len(set(imagenet_classes.WORDS)) == 1000
    assert list(imagenet_classes.SYNSETS) == sorted(imagenet_classes.SYNSETS)
    assert len(imagenet_classes.LISTS["imagenet_background"]) == 1001


# Numbers, synsets and words as WordNet and the ILSVRC devkit publish them.
@pytest.mark.parametrize(
    ("number", "synset", "words"),
    [
        (0, "n01440764", "tench"),
        (2, "n01484850", "great white shark"),
        (134, "n02012849", "crane bird"),
        (207, "n02099601", "golden retriever"),
        (264, "n02113186", "Cardigan"),
        (474, "n02963159", "cardigan"),
        (517, "n03126707", "crane"),
        (852, "n04409515", "tennis ball"),
        (999, "n15075141", "toilet tissue"),
    ],
)
def test_a_class_is_found_by_its_synset_and_by_its_words(number, synset, words):
    assert imagenet_classes.numbers([synset]) == (number,)
    assert imagenet_classes.numbers([f"{synset}_anything"]) == (number,)
    # Beside the other, it is clear which crane is meant.
    assert imagenet_classes.numbers([words, "crane bird"]) == (number, 134)
    assert imagenet_classes.in_words([synset]) == (words,)


def test_words_may_be_written_as_files_are_named():
    names = ["Great_White_Shark", "tench, Tinca tinca", "golden  retriever"]
    assert imagenet_classes.numbers(names) == (2, 0, 207)


@pytest.mark.parametrize(
    "names", [["n01440764", "tench"], ["n00000001"], ["n014407641"], ["cat"], ["0"], [""]]
)
def test_other_names_are_none_of_them(names):
    assert imagenet_classes.numbers(names) is None


def test_a_word_of_two_classes_is_refused_by_their_synsets():
    with pytest.raises(ModelError, match=r"'crane' is the name of two .* n03126707 or n02012849"):
        imagenet_classes.numbers(["tench", "crane"])


def test_numbers_count_from_nought_to_999():
    assert imagenet_classes.numbers_of_digits(["7", "007", "999"]) == (7, 7, 999)
    for wrong in ("1000", "-1", "1.0", "", "٣"):
        assert imagenet_classes.numbers_of_digits(["7", wrong]) is None
