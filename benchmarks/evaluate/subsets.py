"""Test sets whose labels are not exactly the model's classes: what it chooses among, and which answers are right.

A folder with some of a model's classes, called by their names, is no reason to narrow the choice: the model chooses
among all of its classes, as it would on the whole data.

ImageNet-A and -R have pictures of 200 of ImageNet's 1,000 classes, and their authors let a model choose among those
alone (Hendrycks et al. 2019, arXiv:1907.07174; 2020, arXiv:2006.16241). ReaL has any number of labels per picture: an
answer is right if it is among them, and pictures without a label do not count (Beyer et al. 2020, arXiv:2006.07159).
"""

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import tasks
from benchmarks.errors import ConfigError
from benchmarks.evaluate import labels
from benchmarks.steps.pure_model import PureModel
from benchmarks.tasks import metrics
from input_pipeline.datasets import Dataset
from input_pipeline.errors import DataError
from isobudget.wording import quoted, quoted_path

PRESENT, NAMES = "present", "names"
# The test sets whose authors do not let a model choose among all of its classes.
_USUAL = {"imagenet_a": PRESENT, "imagenet_r": PRESENT}
_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a model chooses among.

    Attributes:
      classes: those of the model's classes that it may choose, ascending.
      places: the position of each of the dataset's labels in `classes`; -1 for a label that is not there.
    """

    classes: tuple[int, ...]
    places: tuple[int, ...]


def usual(dataset: str) -> str:
    """Returns the subset that a dataset's authors evaluate on; empty for all classes."""
    return _USUAL.get(dataset.partition(":")[0].partition("/")[0], "")


def choose_for(
    model: PureModel,
    dataset: Dataset,
    split: str,
    subset: str,
    class_names: Callable[[], Sequence[str]] | None = None,
) -> Choice:
    """Returns what a single-label model chooses among; the arguments are those of `choose`.

    Raises:
      ConfigError: the labels cannot be the model's classes, or its task is not single_label.
    """
    if model.task is not tasks.SINGLE_LABEL:
        raise ConfigError(
            f"--subset goes with single_label, and the run's task is {model.task.name}."
        )
    return choose(dataset, split, model.num_logits, subset, class_names)


def restrict(model: PureModel, dataset: Dataset, choice: Choice) -> PureModel:
    """Returns the model, limited to choosing among some of its classes."""
    task = ChoosingAmong(model.task.name, model.task.train_metric, choice, dataset.multi_label)
    return dataclasses.replace(model, task=task)


def choose(
    dataset: Dataset,
    split: str,
    num_classes: int,
    subset: str = "",
    class_names: Callable[[], Sequence[str]] | None = None,
) -> Choice:
    """Returns what a model of `num_classes` chooses among on a split.

    Args:
      dataset: the test set.
      split: the split of it.
      num_classes: how many classes the model has.
      subset: empty for all of the model's classes; `present` for those that occur in the split; `names` for those that
        the dataset has; or a CSV file with a line `class of the dataset,class of the model` for each class that counts.
      class_names: returns the names of the model's classes; without them, the dataset's labels are the model's classes
        in their order.

    Raises:
      ConfigError: the labels cannot be the model's classes.
    """
    if subset in ("", PRESENT):
        meant = _meant(dataset, num_classes, class_names)
        if not subset:
            return Choice(tuple(range(num_classes)), meant)
        wanted = _present(dataset, split)
        return _choice({label: meant[label] for label in wanted}, dataset.num_classes)
    if class_names is None:
        raise ConfigError(f"--subset={subset} needs the names of the classes: give --workdir.")
    names = class_names()
    if subset == NAMES:
        known = labels.places_of(dataset, names)
        _refuse_strange(dataset.class_names, known, "the model")
        return _choice(dict(enumerate(_known(known))), dataset.num_classes)
    return _choice(_by_name(_read(subset), dataset, names), dataset.num_classes)


def _meant(
    dataset: Dataset, num_classes: int, class_names: Callable[[], Sequence[str]] | None
) -> tuple[int, ...]:
    """Returns the model's class that each label is: by its name, or by its number if there are as many of both."""
    as_many = dataset.num_classes == num_classes
    known: list[int | None] = [None] * dataset.num_classes
    try:
        known = labels.places_of(dataset, class_names()) if class_names else known
    except DataError:  # an older run's, whose own dataset is not here
        if not as_many:
            raise
    if None not in known:
        return tuple(_known(known))
    if as_many:
        return tuple(range(num_classes))
    strange = [name for name, each in zip(dataset.class_names, known, strict=True) if each is None]
    raise ConfigError(
        f"the model tells {num_classes} classes apart and {dataset.name} has {dataset.num_classes}, of which it does"
        f" not know {_few(strange)}: --subset=FILE says which class is which."
    )


@dataclasses.dataclass(frozen=True)
class ChoosingAmong(tasks.SingleLabel):
    """Single-label classification among some of the model's classes; any label of a picture is right.

    Attributes:
      choice: the classes.
      multi_label: whether a picture's label is float32 [classes of the dataset], with a 1 for each that it has.
    """

    choice: Choice = Choice((), ())
    multi_label: bool = False

    def label_spec(self, batch_size, num_logits):
        if self.multi_label:
            return jax.ShapeDtypeStruct((batch_size, len(self.choice.places)), jnp.float32)
        return super().label_spec(batch_size, num_logits)

    def predict(self, logits, labels):
        """Returns predicted (a class of the model), confidence, loss, rank and counted, all [batch].

        loss is the negative logarithm of the right answers' total confidence, in nats, and rank is how many choices are
        ahead of the best of them. `counted` is false for a picture none of whose labels can be chosen.
        """
        classes, places = np.array(self.choice.classes), np.array(self.choice.places)
        # [labels, choices]: which choice each label is.
        meant = (places[:, None] == np.arange(len(classes))).astype(np.float32)
        right = (labels @ meant if self.multi_label else jnp.asarray(meant)[labels]) > 0
        logits = logits[:, classes]
        best = jnp.argmax(jnp.where(right, logits, -jnp.inf), -1)
        log_shares = jnp.where(right, jax.nn.log_softmax(logits), -jnp.inf)
        return {
            "predicted": jnp.asarray(classes)[jnp.argmax(logits, -1)].astype(jnp.int32),
            "confidence": jnp.max(jax.nn.softmax(logits), -1),
            "loss": -jax.nn.logsumexp(log_shares, -1),
            "rank": tasks.rank(logits, best),
            "counted": jnp.any(right, -1),
        }

    def _measure(self, predictions, thresholds):
        counted = np.flatnonzero(predictions["counted"])
        if not len(counted):
            raise ConfigError("no picture of the split has a label that the model could choose.")
        return metrics.single_label({name: values[counted] for name, values in predictions.items()})


def _choice(classes: dict[int, int], num_labels: int) -> Choice:
    """Returns the choice of a mapping from the dataset's labels to the model's classes."""
    chosen = sorted(set(classes.values()))
    place = {each: position for position, each in enumerate(chosen)}
    return Choice(
        tuple(chosen), tuple(place[classes[i]] if i in classes else -1 for i in range(num_labels))
    )


def _present(dataset: Dataset, split: str) -> list[int]:
    source = dataset.source(split)
    present: set[int] = set()
    for index in range(len(source)):
        label = np.asarray(source[index]["label"])
        present.update([int(label)] if label.ndim == 0 else np.flatnonzero(label).tolist())
    return sorted(present)


def _by_name(pairs: dict[str, str], dataset: Dataset, names: Sequence[str]) -> dict[int, int]:
    theirs = labels.places([*pairs], dataset.class_names)
    _refuse_strange([*pairs], theirs, dataset.name)
    ours = labels.places([*pairs.values()], names)
    _refuse_strange([*pairs.values()], ours, "the model")
    return dict(zip(_known(theirs), _known(ours), strict=True))


def _refuse_strange(names: Sequence[str], known: Sequence[int | None], whose: str) -> None:
    strange = sorted({name for name, each in zip(names, known, strict=True) if each is None})
    if strange:
        raise ConfigError(
            f"{whose} has no class {_few(strange)}; a --subset file says which class is which."
        )


def _known(places: Sequence[int | None]) -> list[int]:
    return [place for place in places if place is not None]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(map(repr, names[:_MOST_NAMED]))}{more}"


def _read(path: str) -> dict[str, str]:
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            lines = [line for line in csv.reader(file) if line]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--subset is {PRESENT}, {NAMES} or a CSV file, and {quoted_path(path)} cannot be read"
            f" ({getattr(error, 'strerror', None) or 'it is not text'})."
        ) from None
    for number, line in enumerate(lines, start=1):
        if len(line) != 2:
            raise ConfigError(
                f"{path}, line {number}: it is 'class of the dataset,class of the model', not {quoted(','.join(line))}."
            )
    pairs = {theirs.strip(): ours.strip() for theirs, ours in lines}
    if not pairs:
        raise ConfigError(f"{path} names no class.")
    return pairs
