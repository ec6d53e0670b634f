"""What every model of the suite is: a `Classifier`, and what can be asked of each."""

import dataclasses
import functools
import numbers
from collections.abc import Collection, Mapping

import jax
from flax import nnx
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from isobudget.wording import digits, quoted
from models import platform
from models.errors import ModelError
from models.layers import Layer, Mode, Stage
from models.windows import widened

_MOST_CLASSES = 2**31 - 1  # labels are 32-bit integers


class HeadedLayer(Layer):
    """A layer whose output is logits.

    Attributes:
      head: the dotted attribute path of the layer that makes the logits, which another number of classes replaces.
    """

    head: str = "fc"


class Classifier(HeadedLayer):
    """What every architecture is: named stages from images to features, then a classifier to logits.

    A network defines `stages` and `classify`, and `head` where its last layer is not `fc`. `models.create` sets the
    other attributes, except `auxiliary_weight`.

    Attributes:
      head: the dotted attribute path of the layer that makes the logits, as in torchvision's state dict. Another number
        of classes replaces it.
      auxiliary_weight: what the paper multiplies each auxiliary loss by.
      spec: the name and options it was made by.
      num_classes: the number of logits.
      min_size: the smallest image side, in pixels, that it accepts.
      dtype: the compute dtype; None is that of the images.
    """

    auxiliary_weight: float = 0.0
    spec: str = "this model"
    num_classes: int = 0
    min_size: int = 1
    dtype: DTypeLike | None = None

    def stages(self) -> Mapping[str, Stage]:
        """Returns the functions of (x, mode) that make up the backbone, in order, by the stage's name."""
        raise TypeError(f"{type(self).__name__} defines no stages")

    def classify(self, features: jax.Array, mode: Mode) -> jax.Array:
        """Returns logits [batch, num_classes] from the last stage's output."""
        raise TypeError(f"{type(self).__name__} defines no classifier")

    def auxiliary_heads(self) -> Mapping[str, HeadedLayer]:
        """Returns the heads that run in training only, by the stage whose output they read."""
        return {}

    def __call__(
        self, images: jax.Array, *, train: bool = False, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        """Returns float32 logits [batch, num_classes] of normalized images [batch, height, width, 3].

        Raises:
          ModelError: images of another shape, or smaller than the model's minimum.
        """
        return self.logits_and_auxiliary(images, train=train, rngs=rngs)[0]

    def logits_and_auxiliary(
        self,
        images: jax.Array,
        *,
        train: bool = False,
        rngs: nnx.Rngs | None = None,
        frozen: Collection[str] = (),
    ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """Returns (logits, auxiliary logits), float32 [batch, num_classes]; the second is empty unless training.

        Args:
          images: normalized, [batch, height, width, 3].
          train: whether the network is being trained.
          rngs: the randomness of dropout, stream `dropout`; needed to train a model that has any.
          frozen: the names of stages that run as in inference. Auxiliary heads that read their output do not run.

        Raises:
          ModelError: images of another shape, or smaller than the model's minimum.
        """
        inference = Mode(fold=platform.is_accelerator())
        mode = dataclasses.replace(inference, train=True, rngs=rngs) if train else inference
        heads = self.auxiliary_heads() if train else {}
        auxiliary: list[jax.Array] = []
        x = self._accept(images)
        for name, stage in self.stages().items():
            # `jax.checkpoint` policies and readers of the jaxpr know the stage by this name.
            x = checkpoint_name(stage(x, inference if name in frozen else mode), f"stage:{name}")
            if name in heads and name not in frozen:
                answer = heads[name](x, mode)
                auxiliary.append(answer.astype(widened(answer.dtype)))
        logits = self.classify(x, mode)
        return logits.astype(widened(logits.dtype)), tuple(auxiliary)

    def stage_outputs(self, images: jax.Array) -> dict[str, jax.Array]:
        """Returns each stage's output [batch, height, width, channels] by name, in evaluation mode."""
        mode = Mode()
        outputs = {}
        x = self._accept(images)
        for name, stage in self.stages().items():
            outputs[name] = x = stage(x, mode)
        return outputs

    def _accept(self, images: jax.Array) -> jax.Array:
        if images.ndim != 4 or images.shape[-1] != 3:
            raise ModelError(
                f"{self.spec} takes images [batch, height, width, 3], not {list(images.shape)}."
            )
        height, width = images.shape[1:3]
        if min(height, width) < self.min_size:
            raise ModelError(too_small(self.spec, self.min_size, height, width))
        return images.astype(self.dtype or images.dtype)


def too_small(spec: str, min_size: int, height: int, width: int) -> str:
    """Returns the sentence on images that are below a model's minimum."""
    return f"{spec} needs images of at least {min_size}x{min_size} pixels, not {height}x{width}."


def replace_head(model: Classifier, num_classes: int, rngs: nnx.Rngs) -> Classifier:
    """Returns the model, changed in place: freshly initialized last layers for another number of classes.

    Args:
      model: keeps all its other layers. The last layers of its auxiliary heads are replaced, too.
      num_classes: the number of logits.
      rngs: the randomness of initialization, stream `params`.

    Raises:
      ModelError: a number of classes below 1, or a head that is no `models.layers.Linear` or `Conv`.
    """
    check_num_classes(num_classes)
    layers: tuple[HeadedLayer, ...] = (model, *model.auxiliary_heads().values())
    for layer in layers:
        *path, last = layer.head.split(".")
        parent = functools.reduce(getattr, path, layer)
        old = getattr(parent, last)
        if not hasattr(old, "resized"):
            raise ModelError(
                f"the head {quoted(layer.head)} of {model.spec} is a {type(old).__module__}.{type(old).__name__}, which"
                " cannot be replaced; make it a models.layers.Linear or Conv."
            )
        setattr(parent, last, old.resized(num_classes, rngs))
    model.num_classes = num_classes
    return model


def check_num_classes(num_classes: int) -> None:
    """Raises `ModelError` if a model cannot have so many classes."""
    if not isinstance(num_classes, numbers.Integral) or isinstance(num_classes, bool):
        raise ModelError(f"a model has a whole number of classes, not {quoted(num_classes)}.")
    if num_classes < 1:
        raise ModelError(f"a model needs at least 1 class, not {digits(int(num_classes))}.")
    if num_classes > _MOST_CLASSES:
        raise ModelError(
            f"a model has at most {_MOST_CLASSES:,} classes, not {digits(int(num_classes))}."
        )


def count_parameters(model: nnx.Module) -> int:
    """Returns the number of trainable parameters, auxiliary heads included."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def count_auxiliary_parameters(model: Classifier) -> int:
    """Returns the number of parameters in heads that run in training only."""
    return sum(count_parameters(head) for head in model.auxiliary_heads().values())


def count_weight_bytes(model: Classifier) -> int:
    """Returns the bytes of the parameters and batch statistics that inference needs, as they are stored."""
    auxiliary = sum(map(_stored_bytes, model.auxiliary_heads().values()))
    return _stored_bytes(model) - auxiliary


def _stored_bytes(module: nnx.Module) -> int:
    leaves = jax.tree.leaves((nnx.state(module, nnx.Param), nnx.state(module, nnx.BatchStat)))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
