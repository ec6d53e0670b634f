"""What differs between the tasks: targets, loss, predictions, decisions and metrics.

To add a task, write a class here, list it in `TASKS`, and say in `results/records/tasks.py` what ranks its models.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.errors import ConfigError
from benchmarks.registry import Registry
from benchmarks.tasks import metrics
from benchmarks.tasks.metrics import Metric, Predictions
from input_pipeline import datasets
from isobudget.wording import quoted, shown
from results.rankings import thresholds


@dataclasses.dataclass(frozen=True)
class Task(abc.ABC):
    """One task; all its methods are pure.

    Attributes:
      name: as configurations and records have it.
      train_metric: the name under which training logs the fraction of right examples.
    """

    name: str
    train_metric: str

    @abc.abstractmethod
    def check(self, dataset: datasets.Dataset) -> None:
        """Raises `ConfigError` if the dataset's labels are not those of this task."""

    def logit_names(self, class_names: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the class that each logit stands for."""
        return class_names

    def label_spec(self, batch_size: int, num_logits: int) -> jax.ShapeDtypeStruct:
        """Returns the shape and type of a batch's `label`."""
        return jax.ShapeDtypeStruct((batch_size,), jnp.int32)

    @abc.abstractmethod
    def targets(self, labels: jax.Array, num_logits: int, smoothing: float) -> jax.Array:
        """Returns float32 targets [batch, num_logits] of a batch's labels.

        Args:
          labels: as `label_spec` says.
          num_logits: the number of logits.
          smoothing: the fraction of each target that is spread over all it could be.
        """

    @abc.abstractmethod
    def loss(
        self, logits: jax.Array, targets: jax.Array, positive_weights: tuple[float, ...] = ()
    ) -> jax.Array:
        """Returns the loss of each example [batch], nats.

        Args:
          logits: [batch, num_logits].
          targets: the same, from 0 to 1.
          positive_weights: see `positive_weights`; empty for 1.
        """

    @abc.abstractmethod
    def right(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """Returns, bool [batch], whether each example is right, at thresholds of a half if there are any."""

    @abc.abstractmethod
    def join_crops(self, logits: jax.Array) -> jax.Array:
        """Returns logits [batch, num_logits] of the crops' mean confidence, from [batch, crops, num_logits]."""

    @abc.abstractmethod
    def confidences(self, logits: jax.Array) -> jax.Array:
        """Returns the confidence in each logit's class, from 0 to 1, [batch, num_logits]."""

    @abc.abstractmethod
    def decide(
        self, confidence: np.ndarray, above: np.ndarray | None, class_names: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Returns the classes that one picture is given.

        Args:
          confidence: in each logit's class [num_logits].
          above: whether it reaches its threshold [num_logits]; None if nothing is decided by one.
          class_names: those of the dataset.
        """

    @abc.abstractmethod
    def predict(self, logits: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        """Returns what is kept of each example: arrays by name, [batch, ...]."""

    def thresholds(self, predictions: Predictions) -> np.ndarray | None:
        """Returns the threshold of each logit's confidence [num_logits], chosen on these predictions.

        None if nothing is decided by a threshold.
        """
        return None

    def default_thresholds(self, num_logits: int) -> np.ndarray | None:
        """Returns the thresholds to use if there is nothing to choose them on."""
        return None

    def metrics(self, predictions: Predictions, thresholds: np.ndarray | None) -> dict[str, float]:
        """Returns the metrics of a split, as `results.records.Metrics` names them, and those that plug-ins add.

        Raises:
          ConfigError: a plug-in's metric has the name of another, or is not a number.
        """
        measured = self._measure(predictions, thresholds)
        for name, metric in METRICS[self.name].items():
            if name in measured:
                raise ConfigError(f"there is a metric {quoted(name)} of {self.name} already.")
            measured[name] = _number(name, metric(predictions))
        return measured

    @abc.abstractmethod
    def _measure(self, predictions: Predictions, thresholds: np.ndarray | None) -> dict[str, float]:
        """Returns the task's own metrics of a split."""


class SingleLabel(Task):
    """One of several classes: softmax, cross-entropy; the class of the highest confidence."""

    def check(self, dataset: datasets.Dataset) -> None:
        if dataset.multi_label:
            raise ConfigError(
                f"{dataset.name} has any number of labels per picture: its config.task is multi_label, or binary with a"
                " config.positive_class, not single_label."
            )
        if dataset.num_classes < 2:
            raise ConfigError(
                f"{dataset.name} has one class, {dataset.class_names[0]}: there is nothing to tell apart."
            )

    def targets(self, labels, num_logits, smoothing):
        return optax.smooth_labels(jax.nn.one_hot(labels, num_logits), smoothing)

    def loss(self, logits, targets, positive_weights=()):
        return optax.softmax_cross_entropy(logits, targets)

    def right(self, logits, labels):
        return rank(logits, labels) < 1

    def join_crops(self, logits):
        """Averages the softmax: Krizhevsky et al. 2012, section 4.1."""
        return jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=1) - jnp.log(logits.shape[1])

    def confidences(self, logits):
        return jax.nn.softmax(logits)

    def decide(self, confidence, above, class_names):
        """Returns the class of highest confidence, or none if that is below the threshold asked for."""
        best = int(np.argmax(confidence))
        return (class_names[best],) if above is None or above[best] else ()

    def predict(self, logits, labels):
        """Returns label, predicted (the class of the highest logit), confidence, loss and rank.

        All are [batch]; confidence is predicted's softmax, loss the cross-entropy in nats, rank how many classes are
        ahead of the label (all of them where its logit is not finite).
        """
        return {
            "label": labels,
            "predicted": jnp.argmax(logits, -1).astype(jnp.int32),
            "confidence": jnp.max(jax.nn.softmax(logits), -1),
            "loss": optax.softmax_cross_entropy_with_integer_labels(logits, labels),
            "rank": rank(logits, labels),
        }

    def _measure(self, predictions, thresholds):
        return metrics.single_label(predictions)


class _Sigmoid(Task):
    """A sigmoid for each logit, each decided on its own by a threshold."""

    def targets(self, labels, num_logits, smoothing):
        hard = self._hard_targets(labels)
        return hard * (1 - smoothing) + smoothing / 2

    def loss(self, logits, targets, positive_weights=()):
        """Returns the binary cross-entropy averaged over the logits, positives weighted."""
        weights = jnp.array(positive_weights or (1.0,), jnp.float32)
        positive = weights * targets * jax.nn.log_sigmoid(logits)
        negative = (1 - targets) * jax.nn.log_sigmoid(-logits)
        return -jnp.mean(positive + negative, axis=-1)

    def right(self, logits, labels):
        agree = (logits >= 0) == (self._hard_targets(labels) > 0.5)
        return jnp.all(agree & jnp.isfinite(logits), axis=-1)

    def join_crops(self, logits):
        positive = jax.nn.logsumexp(jax.nn.log_sigmoid(logits), axis=1)
        return positive - jax.nn.logsumexp(jax.nn.log_sigmoid(-logits), axis=1)

    def confidences(self, logits):
        return jax.nn.sigmoid(logits)

    def predict(self, logits, labels):
        """Returns logits and targets (0 and 1), both float32 [batch, num_logits]."""
        return {"logits": logits, "targets": self._hard_targets(labels)}

    def thresholds(self, predictions):
        return thresholds.choose(metrics.confidences(predictions), predictions["targets"] > 0.5)

    def default_thresholds(self, num_logits):
        return np.full(num_logits, 0.5)

    @abc.abstractmethod
    def _hard_targets(self, labels: jax.Array) -> jax.Array:
        """Returns float32 targets [batch, num_logits] of 0 and 1."""


class Binary(_Sigmoid):
    """One class against the rest: a single logit, for the second of the dataset's two classes."""

    def check(self, dataset: datasets.Dataset) -> None:
        if dataset.multi_label or dataset.num_classes != 2:
            raise ConfigError(
                f"config.task=binary is one class against the rest, and {dataset.name} has {dataset.num_classes}"
                f" classes: name one as config.positive_class, such as {quoted(dataset.class_names[0])}."
            )

    def logit_names(self, class_names):
        return class_names[1:]

    def decide(self, confidence, above, class_names):
        return (class_names[int(above[0])],)

    def _measure(self, predictions, thresholds):
        return metrics.binary(predictions, thresholds)

    def _hard_targets(self, labels):
        return labels[:, None].astype(jnp.float32)


class MultiLabel(_Sigmoid):
    """Any number of labels per picture: a logit for each."""

    def check(self, dataset: datasets.Dataset) -> None:
        if not dataset.multi_label:
            raise ConfigError(
                f"config.task=multi_label is any number of labels per picture, and {dataset.name} has one for each: its"
                " config.task is single_label or binary."
            )

    def label_spec(self, batch_size, num_logits):
        return jax.ShapeDtypeStruct((batch_size, num_logits), jnp.float32)

    def decide(self, confidence, above, class_names):
        return tuple(name for name, yes in zip(class_names, above, strict=True) if yes)

    def _measure(self, predictions, thresholds):
        return metrics.multi_label(predictions, thresholds)

    def _hard_targets(self, labels):
        return labels


SINGLE_LABEL = SingleLabel("single_label", "top1")
BINARY = Binary("binary", "accuracy")
MULTI_LABEL = MultiLabel("multi_label", "exact_match")
TASKS: dict[str, Task] = {task.name: task for task in (SINGLE_LABEL, BINARY, MULTI_LABEL)}


def rank(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Returns int32 [batch]: how many classes are ahead of the label. A tie counts for the lower class."""
    label_logits = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    classes = jnp.arange(logits.shape[-1])
    ahead = (logits > label_logits) | ((logits == label_logits) & (classes < labels[:, None]))
    # NaN is above nothing: without this, a model of NaNs would be right every time.
    finite = jnp.isfinite(label_logits[:, 0])
    return jnp.where(finite, jnp.sum(ahead, -1), logits.shape[-1]).astype(jnp.int32)


# By task, the metrics that plug-ins add to its own.
METRICS: dict[str, Registry[Metric]] = {name: Registry(f"a metric of {name}") for name in TASKS}

_Metric = TypeVar("_Metric", bound=Metric)


def register_metric(task: str, name: str) -> Callable[[_Metric], _Metric]:
    """Returns a decorator that registers a metric of a task, which every evaluation then measures.

    It is called with what was predicted for each example of a split (arrays by name, see `Task.predict`) and returns a
    number, which records and `benchmarks.evaluate` show beside the task's own metrics. Rankings do not depend on it.

    Args:
      task: a name in `TASKS`.
      name: an identifier that no metric of the task has.

    Raises:
      ConfigError: no such task, or the name is taken.
    """
    if task not in METRICS:
        raise ConfigError(f"a metric is of a task, {', '.join(METRICS)}, not of {shown(task)}.")

    def decorate(metric: _Metric) -> _Metric:
        METRICS[task].register(name, metric, metric.__module__)
        return metric

    return decorate


def _number(name: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # whatever a plug-in returns
    except (TypeError, ValueError):
        raise ConfigError(f"the metric {quoted(name)} is a number, not {shown(value)}.") from None
