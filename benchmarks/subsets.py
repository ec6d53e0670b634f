"""Test sets whose labels are not the model's classes one for one: among which classes it chooses, and what is right.

ImageNet-A and -R have pictures of 200 of ImageNet's 1,000 classes, and their authors let a model choose among those
alone (Hendrycks et al. 2019, arXiv:1907.07174; 2020, arXiv:2006.16241). ReaL has any number of labels a picture: an
answer is right if it is among them, and pictures without one do not count (Beyer et al. 2020, arXiv:2006.07159).
"""

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import steps
from benchmarks.errors import ConfigError
from input_pipeline.datasets import Dataset

PRESENT, NAMES = "present", "names"
# How the authors of a test set want it.
USUAL = {"imagenet_a": PRESENT, "imagenet_r": PRESENT}
_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a model chooses among.

    Attributes:
      classes: of the model's, ascending.
      places: of each of the dataset's labels among `classes`; -1 for one that is none of them.
    """

    classes: tuple[int, ...]
    places: tuple[int, ...]


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
      split: of it.
      num_classes: the model's.
      subset: empty or `present` where the dataset's labels are the model's classes in their order, of which `present`
        takes those that occur in the split; `names` where the dataset's classes are found among the model's by name;
        or a CSV file with a line `class of the dataset,class of the model` for each class that counts.
      class_names: returns the model's, where `subset` needs them.

    Raises:
      ConfigError: the labels cannot be the model's classes.
    """
    if subset in ("", PRESENT):
        if dataset.num_classes != num_classes:
            raise ConfigError(
                f"the model tells {num_classes} classes apart and {dataset.name} has {dataset.num_classes};"
                f" --subset={NAMES} or a file says which is which."
            )
        wanted = _present(dataset, split) if subset else range(num_classes)
        return _choice({label: label for label in wanted}, num_classes)
    if class_names is None:
        raise ConfigError(f"--subset={subset} needs the names of the classes: give --workdir.")
    names = class_names()
    pairs = {name: name for name in dataset.class_names} if subset == NAMES else _read(subset)
    return _choice(_by_name(pairs, dataset, names), dataset.num_classes)


def make_eval_step(model: steps.PureModel, choice: Choice) -> Callable[..., dict[str, jax.Array]]:
    """Returns a step like `steps.make_eval_step`'s, of a model that chooses among `choice`.

    A batch's `label` is int32 [batch], or [batch, classes of the dataset] with 1 for each label of a picture. `loss`
    is the negative logarithm of the confidence that all right answers have together, `rank` that of the best of them.
    What is `predicted` is the model's class. `mask` is 0 for a picture without a label in `choice` too, and
    `left_out` then 1.
    """
    classes, places = np.array(choice.classes), np.array(choice.places)
    # [labels, choices]: which choice each label is.
    one_hot = (places[:, None] == np.arange(len(classes))).astype(np.float32)

    def eval_step(params: dict, batch_stats: dict, batch: steps.Batch):
        logits = model.logits(params, batch_stats, batch["image"])[:, classes]
        labels = batch["label"]
        right = (jnp.asarray(one_hot)[labels] if labels.ndim == 1 else labels @ one_hot) > 0
        counted = jnp.any(right, -1)
        best = jnp.argmax(jnp.where(right, logits, -jnp.inf), -1)
        log_shares = jnp.where(right, jax.nn.log_softmax(logits), -jnp.inf)
        return {
            "mask": batch["mask"] * counted,
            "left_out": batch["mask"] * ~counted,
            "predicted": jnp.asarray(classes)[jnp.argmax(logits, -1)].astype(jnp.int32),
            "confidence": jnp.max(jax.nn.softmax(logits), -1),
            "loss": -jax.nn.logsumexp(log_shares, -1),
            "rank": steps.rank(logits, best),
        }

    return eval_step


def _choice(classes: dict[int, int], num_labels: int) -> Choice:
    """Returns the choice of a mapping from the dataset's labels to the model's classes."""
    chosen = sorted(set(classes.values()))
    place = {each: position for position, each in enumerate(chosen)}
    return Choice(
        tuple(chosen), tuple(place[classes[i]] if i in classes else -1 for i in range(num_labels))
    )


def _present(dataset: Dataset, split: str) -> list[int]:
    source = dataset.source(split)
    found: set[int] = set()
    for index in range(len(source)):
        label = np.asarray(source[index]["label"])
        found.update([int(label)] if label.ndim == 0 else np.flatnonzero(label).tolist())
    return sorted(found)


def _by_name(pairs: dict[str, str], dataset: Dataset, names: Sequence[str]) -> dict[int, int]:
    for mine, known, whose in (
        (pairs, dataset.class_names, dataset.name),
        (pairs.values(), names, "the model"),
    ):
        strange = sorted(set(mine) - set(known))
        if strange:
            more = f" and {len(strange) - _MOST_NAMED} more" if len(strange) > _MOST_NAMED else ""
            raise ConfigError(
                f"{whose} has no class {', '.join(map(repr, strange[:_MOST_NAMED]))}{more}; a --subset file says which"
                " class is which."
            )
    label = {name: index for index, name in enumerate(dataset.class_names)}
    place = {name: index for index, name in enumerate(names)}
    return {label[theirs]: place[ours] for theirs, ours in pairs.items()}


def _read(path: str) -> dict[str, str]:
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            lines = [line for line in csv.reader(file) if line]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--subset is {PRESENT}, {NAMES} or a CSV file, and {path!r} cannot be read"
            f" ({getattr(error, 'strerror', None) or 'it is not text'})."
        ) from None
    for number, line in enumerate(lines, start=1):
        if len(line) != 2:
            raise ConfigError(
                f"{path}, line {number}: it is 'class of the dataset,class of the model', not {','.join(line)!r}."
            )
    pairs = {theirs.strip(): ours.strip() for theirs, ours in lines}
    if not pairs:
        raise ConfigError(f"{path} names no class.")
    return pairs
