"""The confusions of one split of a run: the values, and how many of them are kept."""

from dataclasses import dataclass

MOST_MISTAKES = 24
# Of more classes nobody reads the matrix; the pairs that are confused most say it.
MOST_CLASSES = 30
MOST_PAIRS = 20


@dataclass(frozen=True)
class Counts:
    """A class against the rest, or a label against its absence.

    Attributes:
      name: of the class.
      true_positives, false_positives, false_negatives, true_negatives: examples.
      precision: of those decided to be of the class, the share that is; None where none was.
      recall: of those of the class, the share decided to be, which is the accuracy on the class; None without any.
      f1: the harmonic mean of the two; None where neither the class nor a decision for it occurs.
      average_precision: over all thresholds, None in single_label and without positives.
      threshold: of the confidence in the label, at and above which it was decided on; None in single_label.
    """

    name: str
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None = None
    threshold: float | None = None

    @property
    def examples(self) -> int:
        """How many are of the class."""
        return self.true_positives + self.false_negatives


@dataclass(frozen=True)
class Matrix:
    """How many examples of each class (a row) were taken for each class (a column)."""

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Pair:
    """How many examples of the class `label` were taken for `predicted`."""

    label: str
    predicted: str
    examples: int


@dataclass(frozen=True)
class Bin:
    """A fifteenth of the range of confidences: the examples in it, their mean confidence and the share that is right.

    `confidence` and `right` are None without examples.
    """

    examples: int
    confidence: float | None
    right: float | None


@dataclass(frozen=True)
class Mistake:
    """A wrong decision: the example's place in the split, what it is and was taken for, and how sure the model was."""

    index: int
    label: str
    predicted: str
    confidence: float | None


@dataclass(frozen=True)
class Confusions:
    """What a model takes for what on a split.

    Attributes:
      split: `test` or `validation`.
      examples: how many there are.
      right: how many have no mistake.
      classes: the counts of each class or label.
      matrix: None in multi_label and of more than `MOST_CLASSES` classes.
      pairs: the most confused, the most frequent first; none in binary and multi_label.
      calibration_error: the expected one, see `results.confidence`; None where a confidence is not finite.
      reliability: of the confidence in what is decided (single_label), or in each label, of all labels together.
      mistakes: the most confident ones, the most confident first.
      all_mistakes: how many there are in all, over all labels.
    """

    split: str
    examples: int
    right: int
    classes: tuple[Counts, ...]
    matrix: Matrix | None
    pairs: tuple[Pair, ...]
    calibration_error: float | None
    reliability: tuple[Bin, ...]
    mistakes: tuple[Mistake, ...]
    all_mistakes: int
