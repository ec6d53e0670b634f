"""What every model of the suite is: a `Classifier`, and what can be asked of any."""

import functools
from collections.abc import Callable, Collection, Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

from models.errors import ModelError
from models.layers import Layer, Mode
from models.windows import widened


class Classifier(Layer):
    """What every architecture is: named stages from images to features, then a classifier to logits.

    A family gives `stages` and `classify`, and says in `head` where its last layer is: a dotted attribute path, as in
    torchvision's state dict.

    Attributes:
      head: the path of the layer that makes the logits, which another number of classes replaces; auxiliary heads have
        such a path too.
      auxiliary_weight: what the paper multiplies each auxiliary loss by.
      spec: the name and options it was made by.
      num_classes: the number of logits.
      min_size: the smallest image side, in pixels, that it accepts.
      dtype: the compute dtype; None computes in the dtype of the images.
    """

    head: str = "fc"
    auxiliary_weight: float = 0.0
    spec: str = "this model"
    num_classes: int = 0
    min_size: int = 1
    dtype: jnp.dtype | None = None

    def stages(self) -> Mapping[str, Callable[[jax.Array, Mode], jax.Array]]:
        """Returns, in order, each stage's function of (x, mode) by the stage's name."""
        raise TypeError(f"{type(self).__name__} defines no stages")

    def classify(self, features: jax.Array, mode: Mode) -> jax.Array:
        """Returns logits [batch, num_classes] from the last stage's output."""
        raise TypeError(f"{type(self).__name__} defines no classifier")

    def auxiliary_heads(self) -> Mapping[str, Layer]:
        """Returns the heads that answer in training only, by the stage whose output they read."""
        return {}

    def __call__(
        self, images: jax.Array, *, train: bool = False, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        """Returns float32 logits [batch, num_classes] of normalised images [batch, height, width, 3].

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

        The stages named in `frozen` run as in inference, and auxiliary heads that read their output do not run.
        """
        mode = Mode(train=train, rngs=rngs)
        heads = self.auxiliary_heads() if train else {}
        auxiliary = []
        x = self._accept(images)
        for name, stage in self.stages().items():
            # The name is for `jax.checkpoint` policies, and for whoever reads the jaxpr.
            x = checkpoint_name(stage(x, Mode() if name in frozen else mode), f"stage:{name}")
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
    """Returns the sentence that says that images are below a model's minimum."""
    return f"{spec} needs images of at least {min_size}x{min_size} pixels, not {height}x{width}."


def replace_head(model: Classifier, num_classes: int, rngs: nnx.Rngs) -> Classifier:
    """Gives a model freshly initialised last layers for another number of classes; all else stays.

    Args:
      model: changed in place. Its auxiliary heads' last layers are replaced too.
      num_classes: the number of logits.
      rngs: the randomness of initialisation, stream `params`.

    Returns:
      The same model.

    Raises:
      ModelError: a number of classes below 1.
    """
    check_num_classes(num_classes)
    for part in (model, *model.auxiliary_heads().values()):
        *path, last = part.head.split(".")
        parent = functools.reduce(getattr, path, part)
        setattr(parent, last, getattr(parent, last).resized(num_classes, rngs))
    model.num_classes = num_classes
    return model


def check_num_classes(num_classes: int) -> None:
    """Raises `ModelError` if a model cannot have so many classes."""
    if num_classes < 1:
        raise ModelError(f"a model needs at least 1 class, not {num_classes}.")


def count_parameters(model: nnx.Module) -> int:
    """Returns the number of trainable parameters, auxiliary heads included."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def count_auxiliary_parameters(model: Classifier) -> int:
    """Returns the number of parameters in heads that answer in training only."""
    return sum(count_parameters(head) for head in model.auxiliary_heads().values())


def count_weight_bytes(model: Classifier) -> int:
    """Returns the bytes of the parameters and batch statistics that inference needs, as they are stored."""
    auxiliary = sum(map(_stored_bytes, model.auxiliary_heads().values()))
    return _stored_bytes(model) - auxiliary


def _stored_bytes(module: nnx.Module) -> int:
    leaves = jax.tree.leaves((nnx.state(module, nnx.Param), nnx.state(module, nnx.BatchStat)))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
