"""Multiply-accumulates of a forward pass, counted from its jaxpr.

One MAC is one multiply-add of a convolution or a matrix product; additions of biases, normalisation, activations and
pooling are not counted. A convolution counts every tap, those that meet padding included, as the literature does.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend import core

from models.classifier import Classifier
from models.registry import check_image_size, create_abstract, info


def count_macs(
    model: str | Classifier,
    image_size: int | tuple[int, int] | None = None,
    *,
    num_classes: int = 1000,
    train: bool = False,
    **options,
) -> int:
    """Returns the MACs of one image's forward pass; auxiliary heads run in training only, and count there.

    Nothing is allocated or compiled.

    Args:
      model: a registered name with its options, or a model already made (of real or of abstract values).
      image_size: the image's side in pixels, or its height and width; the model's own if `model` is a name and this is
        not given.
      num_classes: the number of logits, if `model` is a name.
      train: count the pass in training mode.
      **options: the model's options, if `model` is a name.

    Raises:
      ModelError: an unknown model or option, or images too small for it.
    """
    if isinstance(model, str):
        image_size = image_size or info(model).input_size
        check_image_size(model, min(_sides(image_size)))
        model = create_abstract(model, num_classes, **options)
    if image_size is None:
        raise TypeError("a model that is not given by its name needs an image_size")
    equations = walk(trace(model, image_size, train=train).jaxpr)
    return sum(times * equation_macs(equation) for equation, times in equations)


def count_train_macs(
    model: Classifier,
    image_size: int,
    *,
    frozen: Collection[str] = (),
    is_trained: Callable[[tuple[str, ...]], bool] = lambda path: True,
) -> int:
    """Returns the MACs of training with one image: forward, and backward where gradients are needed.

    A layer whose kernel is trained counts three times (forward, the gradient of its input, that of its kernel), whether
    or not something below it wants the gradient of its input, as is the custom. One whose kernel is not trained counts
    twice if something below it is, and otherwise once.

    Args:
      model: of real or of abstract values.
      image_size: the image's side in pixels.
      frozen: the names of stages that run as in inference.
      is_trained: of the attribute path of a parameter.
    """
    jaxpr = trace(model, image_size, train=True, frozen=frozen).jaxpr
    trained = [is_trained(path) for path in variable_paths(model)] + [False]
    return _train_macs(jaxpr, trained)[0]


def _train_macs(jaxpr: core.Jaxpr, trained: Sequence[bool]) -> tuple[int, list[bool]]:
    """Returns (MACs of training, whether each output depends on what is trained).

    Args:
      trained: whether each input depends on what is trained.
    """
    depends = {each for each, yes in zip(jaxpr.invars, trained, strict=True) if yes}

    def marked(variable) -> bool:
        return not isinstance(variable, core.Literal) and variable in depends

    total = 0
    for equation in jaxpr.eqns:
        inputs = [marked(each) for each in equation.invars]
        outputs = [any(inputs)] * len(equation.outvars)
        for body, repeats in inner(equation):
            # A choice has its index before what its branches take.
            macs, outputs = _train_macs(body, inputs[len(inputs) - len(body.invars) :])
            total += repeats * macs
        macs = equation_macs(equation)
        if macs:
            below, kernel = inputs[:2]
            total += macs * (3 if kernel else 2 if below else 1)
        depends.update(each for each, yes in zip(equation.outvars, outputs, strict=True) if yes)
    return total, [marked(each) for each in jaxpr.outvars]


def count_activations(model: Classifier, image_size: int | tuple[int, int]) -> int:
    """Returns how many numbers convolutions and matrix products put out in one image's forward pass, for inference.

    Radosavovic et al. 2020, arXiv:2003.13678, section 3.1, with the dense layers, which they leave out. What it tells
    is how much memory is written, which bounds the speed of accelerators more than MACs do.
    """
    equations = walk(trace(model, image_size).jaxpr)
    return sum(
        times * _outputs(equation) for equation, times in equations if equation_macs(equation)
    )


def trace(
    model: Classifier,
    image_size: int | tuple[int, int],
    *,
    train: bool = False,
    frozen: Collection[str] = (),
) -> core.ClosedJaxpr:
    """Returns the jaxpr of (state, images [1, height, width, 3]) -> logits, in training auxiliary logits too.

    Its inputs are the state's leaves, whose paths `variable_paths` tells, and then the images.
    """
    graph, state = nnx.split(model)
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)
    images = jax.ShapeDtypeStruct((1, *_sides(image_size), 3), jnp.float32)

    def forward(state, images):
        model = nnx.merge(graph, state, copy=True)
        if not train:
            return model(images)
        return model.logits_and_auxiliary(
            images, train=True, rngs=nnx.Rngs(dropout=0), frozen=frozen
        )

    return jax.make_jaxpr(forward)(state, images)


def variable_paths(model: Classifier) -> list[tuple[str, ...]]:
    """Returns the attribute paths of a model's variables, in the order that `trace` takes their values in."""
    leaves = jax.tree_util.tree_leaves_with_path(nnx.split(model)[1])
    return [
        tuple(str(key.key) for key in keys if isinstance(key, jax.tree_util.DictKey))
        for keys, _ in leaves
    ]


def walk(jaxpr: core.Jaxpr, times: int = 1) -> Iterator[tuple[core.JaxprEqn, int]]:
    """Yields every equation that holds no other, with how often it runs."""
    for equation in jaxpr.eqns:
        bodies = inner(equation)
        if not bodies:
            yield equation, times
        for body, repeats in bodies:
            yield from walk(body, times * repeats)


def inner(equation: core.JaxprEqn) -> list[tuple[core.Jaxpr, int]]:
    """Returns the jaxprs that an equation runs, each with how often.

    Of a choice by platform it is the default's, which accelerators take: other branches are the same sum, written
    differently. Of any other choice it is the dearest branch.

    Raises:
      NotImplementedError: a loop whose length is known only when it runs.
    """
    params = equation.params
    match equation.primitive.name:
        case "cond":
            bodies = [branch.jaxpr for branch in params["branches"]]
            platforms = params.get("branches_platforms")
            if platforms is not None and None in platforms:
                return [(bodies[platforms.index(None)], 1)]
            return [(max(bodies, key=_jaxpr_macs), 1)]
        case "scan":
            return [(params["jaxpr"].jaxpr, params["length"])]
        case "while":
            raise NotImplementedError("a while loop's MACs cannot be counted from its jaxpr")
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if name in params:
            body = params[name]
            return [(getattr(body, "jaxpr", body), 1)]
    return []


def equation_macs(equation: core.JaxprEqn) -> int:
    """Returns the MACs of one equation: of a convolution or a matrix product, otherwise 0."""
    outputs = _outputs(equation)
    match equation.primitive.name:
        case "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
            return outputs * math.prod(kernel) // features
        case "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            return outputs * math.prod(shape[axis] for axis in contracted)
    return 0


def _outputs(equation: core.JaxprEqn) -> int:
    return math.prod(equation.outvars[0].aval.shape) if equation.outvars else 0


def _jaxpr_macs(jaxpr: core.Jaxpr) -> int:
    return sum(times * equation_macs(equation) for equation, times in walk(jaxpr))


def _sides(image_size: int | tuple[int, int]) -> tuple[int, int]:
    return (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
