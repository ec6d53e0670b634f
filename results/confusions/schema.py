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
      precision: the share of the decisions for the class that is right; None without any.
      recall: the share of the class that was decided to be of it, which is its accuracy; None without any examples.
      f1: the harmonic mean of the two; None where neither the class nor a decision for it occurs.
      average_precision: over all thresholds; None in single_label and without positives.
      threshold: the confidence from which on the label was decided on; None in single_label.
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
    """How many examples of each class (a row) were predicted as each class (a column)."""

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Pair:
    """How many examples of the class `label` were predicted as `predicted`."""

    label: str
    predicted: str
    examples: int


@dataclass(frozen=True)
class Bin:
    """One of 15 equal parts of the range of confidences.

    Attributes:
      examples: how many decisions are in it.
      confidence: their mean confidence; None without any.
      right: the share of them that is right; None without any.
    """

    examples: int
    confidence: float | None
    right: float | None


@dataclass(frozen=True)
class Mistake:
    """A wrong decision.

    Attributes:
      index: the example's place in the split.
      label: what it is.
      predicted: what the model decided.
      confidence: how confident the model was of that; None where that is not finite.
    """

    index: int
    label: str
    predicted: str
    confidence: float | None


@dataclass(frozen=True)
class Confusions:
    """Which classes a model mistakes for which on a split.

    Attributes:
      split: `test` or `validation`.
      examples: how many there are.
      right: how many of them have no mistake.
      classes: the counts of each class or label.
      matrix: None in multi_label, and where there are more than `MOST_CLASSES` classes.
      pairs: of classes that are confused most, the most frequent first; none in binary and multi_label.
      calibration_error: the expected one, see `results.rankings.confidence`; None where a confidence is not finite.
      reliability: of the confidence in the decision (single_label), or in each label, all labels together.
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
