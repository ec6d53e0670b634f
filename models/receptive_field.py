"""Which part of the image each value of a forward pass sees, followed through its jaxpr.

Along one side of the image, element i of an array sees the pixels from `low + i * stride` to `high + i * stride`: a
`Side`. Convolutions, padding, slices and windows move and widen it; an elementwise operation sees what any of its
operands sees. Padding counts as pixels, as in the literature.
"""

import dataclasses
import math
from collections.abc import Callable, Generator, Sequence

from jax.extend import core

from models.macs import inner, shape_of


@dataclasses.dataclass(frozen=True)
class Side:
    """The pixels that an element sees along one side of the image; infinite where it sees all."""

    low: float = 0
    high: float = 0
    stride: int = 1

    @property
    def size(self) -> float:
        """The number of pixels seen."""
        return self.high - self.low + 1

    def shifted(self, steps: int) -> "Side":
        """Returns what is seen after element i + steps has become element i."""
        return Side(self.low + steps * self.stride, self.high + steps * self.stride, self.stride)

    def windowed(self, window: int, stride: int, padding: int) -> "Side":
        """Returns what a window of `window` elements sees."""
        begin = self.shifted(-padding)
        high = begin.high + (window - 1) * self.stride
        return Side(begin.low, high, self.stride * stride)


@dataclasses.dataclass(frozen=True)
class Field:
    """What an array sees of the image: a `Side` for each array axis that runs along its height or width.

    Attributes:
      sides: (array axis, image axis: 1 for height or 2 for width, its `Side`); an image axis without one is seen whole.
    """

    sides: tuple[tuple[int, int, Side], ...] = ()

    @property
    def size(self) -> tuple[float, float]:
        """Height and width seen, in pixels; infinite where all is seen."""
        seen = {image_axis: side.size for _, image_axis, side in self.sides}
        return seen.get(1, math.inf), seen.get(2, math.inf)

    @property
    def strides(self) -> tuple[int, int] | None:
        """Pixels between neighboring elements along height and width, if the array has both axes."""
        strides = {image_axis: side.stride for _, image_axis, side in self.sides}
        return (strides[1], strides[2]) if len(strides) == 2 else None


IMAGE = Field(((1, 1, Side()), (2, 2, Side())))
WHOLE = Field()

# Operations whose output has the shape of their input, but whose elements see more than the element in their place.
_MIXING = {"cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum", "dot_general", "fft", "rev", "sort"}  # fmt: skip


def follow(
    jaxpr: core.Jaxpr, fields: Sequence[Field | None], times: int = 1
) -> Generator[tuple[core.JaxprEqn, int, Field | None], None, list[Field | None]]:
    """Yields (equation, how often it runs, what its first output sees) for every equation that contains no other.

    Args:
      jaxpr: the computation.
      fields: what each of its inputs sees; None for what does not depend on the image.
      times: how often all of it runs.

    Returns:
      What each output of the computation sees.
    """
    known: dict[core.Var, Field | None] = dict(zip(jaxpr.invars, fields, strict=True))

    def field_of(atom: core.Var | core.Literal) -> Field | None:
        return None if isinstance(atom, core.Literal) else known.get(atom)

    for equation in jaxpr.eqns:
        operands = [field_of(atom) for atom in equation.invars]
        bodies = inner(equation)
        if bodies:
            body, repeats = bodies[0]
            # The first operand of a choice is its index, which its branches do not take.
            operands = operands[len(operands) - len(body.invars) :]
            results = yield from follow(body, operands, times * repeats)
        else:
            seen = _seen(equation, operands)
            results = [seen] * len(equation.outvars)
            yield equation, times, seen
        known |= zip(equation.outvars, results, strict=True)
    return [field_of(atom) for atom in jaxpr.outvars]


def _seen(equation: core.JaxprEqn, operands: list[Field | None]) -> Field | None:
    """Returns what the outputs of one equation see, given what its operands see."""
    dependent = [
        (shape_of(atom), field)
        for atom, field in zip(equation.invars, operands, strict=True)
        if field is not None
    ]
    if not dependent:
        return None
    name, params = equation.primitive.name, equation.params
    shape, field = dependent[0]
    match name:
        case "conv_general_dilated":
            return _convolved(equation, field) if len(dependent) == 1 else WHOLE
        case "pad":
            return _padded(field, params["padding_config"])
        case "slice":
            strides = params["strides"] or (1,) * len(shape)
            return _mapped(
                field,
                lambda axis, side: side.shifted(params["start_indices"][axis]).windowed(
                    1, strides[axis], 0
                ),
            )
        case "transpose":
            return _moved(field, {old: new for new, old in enumerate(params["permutation"])})
        case "broadcast_in_dim":
            return _moved(field, dict(enumerate(params["broadcast_dimensions"])))
        case "squeeze":
            return _without(field, params["dimensions"], len(shape))
        case "concatenate":
            united = _union([field for _, field in dependent])
            return _without_axis(united, params["dimension"])
        case "reduce_window_max" | "reduce_window_min" | "reduce_window_sum":
            return _mapped(
                field,
                lambda axis, side: side.windowed(
                    params["window_dimensions"][axis],
                    params["window_strides"][axis],
                    params["padding"][axis][0],
                ),
            )
    if name.startswith(("reduce_", "arg")) and "axes" in params:
        return _without(field, params["axes"], len(shape))
    out_shape = shape_of(equation.outvars[0])
    if name in _MIXING or not all(_aligned(shape, field, out_shape) for shape, field in dependent):
        return WHOLE
    return _union([field for _, field in dependent])


def _aligned(shape: Sequence[int], field: Field, out_shape: Sequence[int]) -> bool:
    """Returns whether an operand's axes along the image are also the output's; others may be broadcast."""
    return not field.sides or (
        len(shape) == len(out_shape)
        and all(shape[axis] == out_shape[axis] for axis, _, _ in field.sides)
    )


def _convolved(equation: core.JaxprEqn, field: Field) -> Field:
    params, kernel = equation.params, shape_of(equation.invars[1])
    numbers = params["dimension_numbers"]
    if any(dilation != 1 for dilation in params["lhs_dilation"]):
        return WHOLE
    spatial = {axis: index for index, axis in enumerate(numbers.lhs_spec[2:])}

    def convolve(axis: int, side: Side) -> Side:
        index = spatial[axis]
        window = (kernel[numbers.rhs_spec[2 + index]] - 1) * params["rhs_dilation"][index] + 1
        return side.windowed(window, params["window_strides"][index], params["padding"][index][0])

    if any(axis not in spatial for axis, _, _ in field.sides):
        return WHOLE
    return _mapped(field, convolve)


def _padded(field: Field, config: Sequence[tuple[int, int, int]]) -> Field:
    if any(config[axis][2] for axis, _, _ in field.sides):
        return WHOLE
    return _mapped(field, lambda axis, side: side.shifted(-config[axis][0]))


def _mapped(field: Field, change: Callable[[int, Side], Side]) -> Field:
    return Field(tuple((axis, image, change(axis, side)) for axis, image, side in field.sides))


def _moved(field: Field, places: dict[int, int]) -> Field:
    return Field(tuple((places[axis], image, side) for axis, image, side in field.sides))


def _without(field: Field, axes: Sequence[int], rank: int) -> Field:
    kept = [axis for axis in range(rank) if axis not in axes]
    places = {old: new for new, old in enumerate(kept)}
    return Field(
        tuple((places[axis], image, side) for axis, image, side in field.sides if axis in places)
    )


def _without_axis(field: Field, axis: int) -> Field:
    return Field(tuple(entry for entry in field.sides if entry[0] != axis))


def _union(fields: list[Field]) -> Field:
    """Returns what an element sees that depends on the elements in its place in each of several arrays."""
    entries: dict[tuple[int, int], list[Side]] = {}
    for field in fields:
        for axis, image, side in field.sides:
            entries.setdefault((axis, image), []).append(side)
    sides = []
    for (axis, image), seen in entries.items():
        if len({side.stride for side in seen}) > 1:
            continue
        low, high = min(side.low for side in seen), max(side.high for side in seen)
        if len(seen) < len(fields):
            low, high = -math.inf, math.inf
        sides.append((axis, image, Side(low, high, seen[0].stride)))
    return Field(tuple(sorted(sides, key=lambda entry: entry[1])))
