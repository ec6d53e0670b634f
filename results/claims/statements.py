"""The literature's statements, each a function from the evidence to its checks: to add one, add a function."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from isobudget.wording import exact
from results.claims.evidence import Check, Evidence
from results.tables.cells import count, three

# Of the papers' own tables; records do not hold depths.
_WEIGHT_LAYERS = {"alexnet": 8, "vgg16": 16, "vgg19": 19}
_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
_DEEPEST_RESNET = "resnet152"
_ALEXNET_HEAD_INPUTS = 4096
_IMAGENET_CLASSES = 1000


# MobileNet v1 as its authors' code pads and normalizes, which its name means, or as PyTorch does; each is compared with
# its own kind.
_MOBILENET = "mobilenet_v1"
_CONVENTIONS: tuple[dict[str, str], ...] = ({}, {"epsilon": "1e-05", "padding": "torch"})


Test = Callable[[Evidence], Iterable[Check]]


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
      text: what it says.
      source: the paper that says it.
      check: a function from the evidence to its checks; the statement holds if all of them do.
    """

    text: str
    source: str
    check: Test


STATEMENTS: list[Statement] = []


def statement(text: str, source: str) -> Callable[[Test], Test]:
    """Returns a decorator that adds a function to the statements."""

    def add(check: Test) -> Test:
        STATEMENTS.append(Statement(text, source, check))
        return check

    return add


@statement(
    "AlexNet has over 60 million parameters (with ImageNet's 1000 classes)",
    "Krizhevsky et al. 2012, abstract",
)
def alexnet_size(evidence: Evidence) -> Iterable[Check]:
    name = evidence.first("alexnet", "alexnet_2012")
    parameters, classes = evidence.parameters(name), evidence.num_classes(name)
    if not parameters or not classes:
        return [Check(f"needs parameters of {name}", None)]
    # The head has a weight for each of its inputs and a bias, for each class.
    whole = parameters + (_IMAGENET_CLASSES - classes) * (_ALEXNET_HEAD_INPUTS + 1)
    text = f"parameters: {parameters:,} with {classes:,} classes"
    text += "" if classes == _IMAGENET_CLASSES else f", {whole:,} with {_IMAGENET_CLASSES:,}"
    return [Check(text, whole > 60_000_000)]


@statement(
    "VGG-16 and VGG-19 are deeper than AlexNet, more than twice its size, slower and more accurate",
    "Simonyan and Zisserman 2014, arXiv:1409.1556",
)
def vgg(evidence: Evidence) -> Iterable[Check]:
    for name in ("vgg16", "vgg19"):
        layers = _WEIGHT_LAYERS[name], _WEIGHT_LAYERS["alexnet"]
        yield Check(
            f"weight layers: {name} {layers[0]}, alexnet {layers[1]}", layers[0] > layers[1]
        )
        yield evidence.size_ratio(name, "alexnet", lambda ratio: ratio > 2, "above 2")
        yield evidence.slower(name, "alexnet")
        yield evidence.more_accurate(name, "alexnet")


@statement(
    "Inception reaches VGG's accuracy with at most a tenth of its parameters",
    "Szegedy et al. 2014, arXiv:1409.4842; 2015, arXiv:1512.00567",
)
def inception(evidence: Evidence) -> Iterable[Check]:
    name = evidence.first("googlenet", "googlenet_paper", "inception_v3")
    for other in evidence.measured(("vgg16", "vgg19")) or ["vgg16"]:
        yield evidence.size_ratio(name, other, lambda ratio: ratio <= 0.1, "at most 0.1")
        yield evidence.as_accurate(name, other)


@statement(
    "Residual connections let deeper networks train: ResNet-34 is more accurate than the plain network "
    "of 34 layers, which is less accurate than that of 18",
    "He et al. 2015, arXiv:1512.03385, table 2",
)
def residual(evidence: Evidence) -> Iterable[Check]:
    yield evidence.more_accurate("resnet34", "plain34")
    yield evidence.more_accurate("plain18", "plain34")


@statement(
    "At 18 layers, the plain and the residual network are similarly accurate",
    "He et al. 2015, arXiv:1512.03385, table 2",
)
def residual_18(evidence: Evidence) -> Iterable[Check]:
    yield evidence.as_accurate("resnet18", "plain18")
    yield evidence.as_accurate("plain18", "resnet18")


@statement(
    "More layers, more accuracy: ResNet-18, 34, 50, 101",
    "He et al. 2015, arXiv:1512.03385, tables 2 and 4",
)
def depth_to_101(evidence: Evidence) -> Iterable[Check]:
    return _deeper_is_better(evidence, _RESNETS)


@statement(
    "More layers, more accuracy: ResNet-18, 34, 50, 101, 152",
    "He et al. 2015, arXiv:1512.03385, tables 2 and 4",
)
def depth(evidence: Evidence) -> Iterable[Check]:
    return _deeper_is_better(evidence, (*_RESNETS, _DEEPEST_RESNET))


def _deeper_is_better(evidence: Evidence, names: Sequence[str]) -> Iterator[Check]:
    measured = evidence.measured(names)
    for shallower, deeper in itertools.pairwise(measured):
        yield evidence.more_accurate(deeper, shallower)
    absent = [name for name in names if name not in measured]
    if absent:
        yield Check(f"needs completed runs of {', '.join(absent)}", None)


@statement(
    "SqueezeNet is 50 times (to the nearest ten) smaller than AlexNet at similar accuracy",
    "Iandola et al. 2016, arXiv:1602.07360, abstract",
)
def squeezenet(evidence: Evidence) -> Iterable[Check]:
    name = evidence.first("squeezenet1_0", "squeezenet1_1")
    yield evidence.size_ratio("alexnet", name, lambda ratio: ratio >= 45, "at least 45")
    yield evidence.as_accurate(name, "alexnet")


@statement(
    "Simple bypass makes SqueezeNet more accurate, at no parameters",
    "Iandola et al. 2016, arXiv:1602.07360, table 3",
)
def bypass(evidence: Evidence) -> Iterable[Check]:
    names = "squeezenet1_0_bypass", "squeezenet1_0"
    yield evidence.size_ratio(*names, lambda ratio: ratio == 1, "1")
    yield evidence.more_accurate(*names)


@statement(
    "Compressed with 8 or 6 bits a weight and sparsity, SqueezeNet is 500 times (to the nearest hundred) "
    "smaller than AlexNet at similar accuracy",
    "Iandola et al. 2016, arXiv:1602.07360, table 2",
)
def compression(evidence: Evidence) -> Iterable[Check]:
    names = evidence.measured(("squeezenet1_0", "squeezenet1_1")) or ["squeezenet1_0"]
    parameters = evidence.parameters("alexnet")
    checked = []
    for name in names:
        for kind, runs in evidence.compressed(name):
            if not parameters:
                return [Check("needs parameters of alexnet", None)]
            # Seeds differ in where weights are 0, and so by a few bytes of distances.
            compressions = [each.compression for _, each in runs if each.compression]
            made = max(compressions, key=lambda each: each.bytes)
            ratio = 4 * parameters / made.bytes
            size = Check(
                f"bytes: alexnet {count(4 * parameters)} / {name} with {made.weight_bits} bits and "
                f"sparsity {exact(made.sparsity)} {count(made.bytes)} = {three(ratio)} (at least 450)",
                ratio >= 450,
            )
            score = evidence.as_accurate_compressed(f"{name} ({kind})", runs, "alexnet")
            checked.append([size, score])
    if not checked:
        return [Check(f"needs {names[0]} after benchmarks.compress", None)]
    # One kind that does both is enough; else the one that comes nearest is told.
    return max(
        checked,
        key=lambda checks: [
            sum(check.as_wanted is value for check in checks) for value in (True, None)
        ],
    )


@statement(
    "MobileNet is larger than SqueezeNet and more accurate",
    "Howard et al. 2017, arXiv:1704.04861, table 9",
)
def mobilenet(evidence: Evidence) -> Iterable[Check]:
    name = evidence.first("squeezenet1_0", "squeezenet1_1")
    mobilenet_v1 = evidence.first(*(_mobilenet(each) for each in _CONVENTIONS))
    yield evidence.size_ratio(mobilenet_v1, name, lambda ratio: ratio > 1, "above 1")
    yield evidence.more_accurate(mobilenet_v1, name)


@statement(
    "Depthwise separable convolutions need fewer parameters and multiply-accumulates than standard ones",
    "Howard et al. 2017, arXiv:1704.04861, table 4",
)
def depthwise(evidence: Evidence) -> Iterable[Check]:
    standard, separable = _standard_and_separable(evidence)
    for what in ("parameters", "macs"):
        yield evidence.size_ratio(standard, separable, lambda ratio: ratio > 1, "above 1", what)


@statement(
    "MobileNet with depthwise separable convolutions is similarly accurate as with standard ones",
    "Howard et al. 2017, arXiv:1704.04861, table 4 (70.6% and 71.7%)",
)
def depthwise_accuracy(evidence: Evidence) -> Iterable[Check]:
    standard, separable = _standard_and_separable(evidence)
    yield evidence.as_accurate(separable, standard)


@statement(
    "MobileNet's width multiplier gives a smooth curve: wider is never less accurate, and the widest is "
    "more accurate than the narrowest",
    "Howard et al. 2017, arXiv:1704.04861, table 6",
)
def width(evidence: Evidence) -> Iterable[Check]:
    widths = max((_widths(evidence, each) for each in _CONVENTIONS), key=len)
    if len(widths) < 3:
        yield Check("needs completed runs of mobilenet_v1 at three widths", None)
        return
    models = [model for _, model in widths]
    for narrower, wider in itertools.pairwise(models):
        yield evidence.size_ratio(wider, narrower, lambda ratio: ratio > 1, "above 1")
        yield evidence.as_accurate(wider, narrower)
    yield evidence.more_accurate(models[-1], models[0])


@statement(
    "MobileNet's resolution multiplier gives a smooth curve: larger images never make it less accurate, and the "
    "largest make it more accurate than the smallest",
    "Howard et al. 2017, arXiv:1704.04861, table 7",
)
def resolution(evidence: Evidence) -> Iterable[Check]:
    names = [_mobilenet(convention) for convention in _CONVENTIONS]
    name = max(names, key=lambda each: len(evidence.sizes(each)))
    sizes = evidence.sizes(name)
    if len(sizes) < 3:
        yield Check("needs completed runs of mobilenet_v1 at three image sizes", None)
        return
    for smaller, larger in itertools.pairwise(sizes):
        yield evidence.as_accurate_at(name, larger, smaller)
    yield evidence.more_accurate_at(name, sizes[-1], sizes[0])


def _standard_and_separable(evidence: Evidence) -> tuple[str, str]:
    """Returns MobileNet v1 with standard and with depthwise separable convolutions, of one convention."""
    pairs = [(_mobilenet(each | {"depthwise": "false"}), _mobilenet(each)) for each in _CONVENTIONS]
    # The pair of which most is there; the first where they tie.
    return max(pairs, key=lambda pair: len(evidence.measured(pair)))


def _mobilenet(options: Mapping[str, str]) -> str:
    """Returns the label of MobileNet v1 with these options."""
    listed = ",".join(f"{option}={options[option]}" for option in sorted(options))
    return f"{_MOBILENET}:{listed}" if listed else _MOBILENET


def _widths(evidence: Evidence, convention: Mapping[str, str]) -> list[tuple[float, str]]:
    """Returns (width, label) of the MobileNets v1 of one convention, by width."""
    widths = []
    for label in evidence.labels():
        if " " in label:  # a row of several of one model, with two learning rates, say
            continue
        name, _, listed = label.partition(":")
        pairs = (each.partition("=") for each in filter(None, listed.split(",")))
        options = {option: value for option, _, value in pairs}
        width = options.pop("width", "1")
        if name == _MOBILENET and options == convention:
            with contextlib.suppress(ValueError):  # a record may say anything
                widths.append((float(width), label))
    return sorted(widths)
