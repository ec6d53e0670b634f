"""Multiply-accumulates (MACs) of a forward pass, counted from its jaxpr.

One MAC is one multiply-add of a convolution or a matrix product; biases, normalization, activations and pooling are not
counted. Of a convolution every tap counts, even where it meets padding, as in the literature.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend import core

from models import platform
from models.classifier import Classifier
from models.layers import Mode
from models.registry import check_image_size, create_abstract, info


def count_macs(
    model: str | Classifier,
    image_size: int | tuple[int, int] | None = None,
    *,
    num_classes: int = 1000,
    train: bool = False,
    **options: Any,
) -> int:
    """Returns the MACs of one image's forward pass, with auxiliary heads in training, where they run.

    Nothing is allocated or compiled.

    Args:
      model: a registered name with its options, or a model (of real or of abstract values).
      image_size: the image's side in pixels, or its height and width. For a name the default is the model's own.
      num_classes: the number of logits, if `model` is a name.
      train: whether to count the pass in training mode.
      **options: the model's options, if `model` is a name.

    Raises:
      ModelError: an unknown model or option, or images too small for it.
    """
    if isinstance(model, str):
        if image_size is None:
            image_size = info(model).input_size
        for side in _sides(image_size):
            check_image_size(model, side)
        model = create_abstract(model, num_classes, **options)
    if image_size is None:
        raise TypeError("the MACs of a model that is not given by its name need an image_size")
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

    A layer whose kernel is trained counts three times (forward, the gradient of its input, that of its kernel), as is
    customary even for the first layer, which needs no gradient of its input. A layer whose kernel is not trained counts
    twice if something below it is trained, otherwise once.

    Args:
      model: of real or of abstract values.
      image_size: the image's side in pixels.
      frozen: the names of stages that run as in inference.
      is_trained: whether the parameter at an attribute path is trained.
    """
    jaxpr = trace(model, image_size, train=True, frozen=frozen).jaxpr
    trained = [is_trained(path) for path in variable_paths(model)] + [False]
    return _train_macs(jaxpr, trained)[0]


def _train_macs(jaxpr: core.Jaxpr, trained: Sequence[bool]) -> tuple[int, list[bool]]:
    """Returns (MACs of training, whether each output depends on a trained parameter).

    Args:
      jaxpr: of the forward pass, or of a part of it.
      trained: whether each input is, or depends on, a trained parameter.
    """
    depends = {each for each, yes in zip(jaxpr.invars, trained, strict=True) if yes}

    def is_dependent(variable: core.Var | core.Literal) -> bool:
        return not isinstance(variable, core.Literal) and variable in depends

    total = 0
    for equation in jaxpr.eqns:
        inputs = [is_dependent(each) for each in equation.invars]
        outputs = [any(inputs)] * len(equation.outvars)
        for body, repeats in inner(equation):
            # The first operand of a choice is its index, which its branches do not take.
            macs, outputs = _train_macs(body, inputs[len(inputs) - len(body.invars) :])
            total += repeats * macs
        macs = equation_macs(equation)
        if macs:
            below, kernel = inputs[:2]
            total += macs * (3 if kernel else 2 if below else 1)
        depends.update(each for each, yes in zip(equation.outvars, outputs, strict=True) if yes)
    return total, [is_dependent(each) for each in jaxpr.outvars]


def count_activations(model: Classifier, image_size: int | tuple[int, int]) -> int:
    """Returns how many values convolutions and matrix products output in one image's forward pass, in inference.

    Radosavovic et al. 2020, arXiv:2003.13678, section 3.1, but with the dense layers, which they leave out. It measures
    how much memory is written, which limits accelerators more than MACs do.
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
    """Returns the jaxpr of (state, images [1, height, width, 3]) -> logits; with auxiliary logits in training.

    Its inputs are the state's leaves, in the order of `variable_paths`, and then the images.
    """

    def forward(model: Classifier, images: jax.Array) -> Any:
        if not train:
            return model(images)
        return model.logits_and_auxiliary(
            images, train=True, rngs=nnx.Rngs(dropout=0), frozen=frozen
        )

    return _trace(model, image_size, forward)


def trace_all(model: Classifier, image_size: int) -> core.ClosedJaxpr:
    """Returns the jaxpr of (state, images [1, height, width, 3]) -> logits and auxiliary logits, all in inference.

    Its inputs are those of `trace`'s jaxpr.
    """

    def forward(model: Classifier, images: jax.Array) -> Any:
        mode, x, auxiliary = Mode(), images, []
        heads = model.auxiliary_heads()
        for name, stage in model.stages().items():
            x = stage(x, mode)
            if name in heads:
                auxiliary.append(heads[name](x, mode))
        return model.classify(x, mode), *auxiliary

    return _trace(model, image_size, forward)


def variable_paths(model: Classifier) -> list[tuple[str, ...]]:
    """Returns the attribute paths of a model's variables, in the order of the inputs of `trace`'s jaxpr."""
    leaves = jax.tree_util.tree_leaves_with_path(nnx.split(model)[1])
    return [
        tuple(str(key.key) for key in keys if isinstance(key, jax.tree_util.DictKey))
        for keys, _ in leaves
    ]


def _trace(
    model: Classifier,
    image_size: int | tuple[int, int],
    forward: Callable[[Classifier, jax.Array], Any],
) -> core.ClosedJaxpr:
    graph, state = nnx.split(model)
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)
    images = jax.ShapeDtypeStruct((1, *_sides(image_size), 3), jnp.float32)
    # Here a convolution is a convolution; on the CPU, the same sum may have another form, which leaves padding out.
    with platform.traced_for(platform.DESCRIPTION):
        return jax.make_jaxpr(
            lambda state, images: forward(nnx.merge(graph, state, copy=True), images)
        )(state, images)


def walk(jaxpr: core.Jaxpr, times: int = 1) -> Iterator[tuple[core.JaxprEqn, int]]:
    """Yields (equation, how often it runs) for every equation that contains no other."""
    for equation in jaxpr.eqns:
        bodies = inner(equation)
        if not bodies:
            yield equation, times
        for body, repeats in bodies:
            yield from walk(body, times * repeats)


def inner(equation: core.JaxprEqn) -> list[tuple[core.Jaxpr, int]]:
    """Returns (jaxpr, how often it runs) for the jaxprs inside an equation.

    Of a choice by platform this is the default branch, which accelerators take; the others are the same sum in another
    form. Of any other choice it is the branch with the most MACs.

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
            kernel = shape_of(equation.invars[1])
            features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
            return outputs * math.prod(kernel) // features
        case "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = shape_of(equation.invars[0])
            return outputs * math.prod(shape[axis] for axis in contracted)
    return 0


def shape_of(atom: core.Var | core.Literal) -> tuple[int, ...]:
    """Returns the shape of a jaxpr's array."""
    return cast(jax.core.ShapedArray, atom.aval).shape


def _outputs(equation: core.JaxprEqn) -> int:
    return math.prod(shape_of(equation.outvars[0])) if equation.outvars else 0


def _jaxpr_macs(jaxpr: core.Jaxpr) -> int:
    return sum(times * equation_macs(equation) for equation, times in walk(jaxpr))


def _sides(image_size: int | tuple[int, int]) -> tuple[int, int]:
    return image_size if isinstance(image_size, tuple) else (image_size, image_size)
