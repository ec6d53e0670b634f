"""What is likely wrong with weights that do not fit a model, by the shapes of their kernels."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from flax import nnx

from models.classifier import Classifier
from models.errors import ModelError
from models.registry import create_abstract, info, label, names, parse

_WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


def likely_model(kernels: Sequence[tuple[int, ...]], spec: str) -> str | None:
    """Returns the spec of the model that kernels of these shapes are of, or None if it is none that is known.

    Args:
      kernels: their shapes, in any layout; the last dense layer may be of any number of classes.
      spec: the model that they do not fit, whose widths and family come first.
    """
    shapes = Counter(map(_signature, kernels))
    name, options = parse(spec)
    for candidate in _candidates(name):
        if parse(candidate) == (name, options):
            continue
        try:
            model = create_abstract(candidate)
        except ModelError:
            continue
        if _is_of(shapes, model):
            return model.spec
    return None


def _candidates(name: str) -> Iterator[str]:
    if _has_widths(name):
        yield from (label(name, {"width": width}) for width in _WIDTHS)
    family = info(name).family
    for other in sorted(names(), key=lambda each: info(each).family != family):
        if other != name:
            yield other
            if _has_widths(other):
                yield from (label(other, {"width": width}) for width in _WIDTHS if width != 1)


def _has_widths(name: str) -> bool:
    """Returns whether a model has a multiplier of its channels, and not an option of a plug-in's that is called so."""
    return isinstance(info(name).options.get("width"), float)


def _is_of(shapes: Counter[tuple[int, ...]], model: Classifier) -> bool:
    """Returns whether kernels are a model's, but for the number of classes, and with or without auxiliary heads."""
    wanted: Counter[tuple[int, ...]] = Counter()
    optional: Counter[tuple[int, ...]] = Counter()
    inside = set()
    for head in model.auxiliary_heads().values():
        inside |= {id(node) for _, node in nnx.iter_graph(head)}
    last = None
    for path, node in nnx.iter_graph(model):
        if path and path[-1] == "kernel" and isinstance(node, nnx.Param):
            if ".".join(map(str, path[:-1])) == model.head:
                last = node.shape
            else:
                (optional if id(node) in inside else wanted)[_signature(node.shape)] += 1
    assert last is not None
    if wanted - shapes:
        return False
    left = [shape for shape, count in (shapes - wanted - optional).items() for _ in range(count)]
    inputs = int(np.prod(last[:-1]))
    return any(inputs in shape for shape in left) and len(left) <= 1 + 2 * len(
        model.auxiliary_heads()
    )


def _signature(shape: Sequence[int]) -> tuple[int, ...]:
    """Returns the sides of a kernel, sorted, those of 1 left out."""
    return tuple(sorted(int(side) for side in shape if side != 1))
