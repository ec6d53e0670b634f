"""Whatever is registered keeps the promises that all models make; registering a model is enough to have it tested."""

import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend import core

import models
from models.macs import inner, walk

CLASSES, BATCH = 7, 2


@dataclasses.dataclass(frozen=True)
class Traced:
    """A model's forward pass as a jaxpr, its inputs and outputs by name."""

    jaxpr: core.Jaxpr
    inputs: dict[str, int]
    logits: jax.ShapeDtypeStruct
    auxiliary: tuple[jax.ShapeDtypeStruct, ...]
    outputs: dict[str, int]
    dtypes: set[jnp.dtype]


def flatten(state) -> dict[str, nnx.Variable]:
    return {".".join(map(str, path)): value for path, value in nnx.to_flat_state(state)}


@functools.cache
def traced(name: str, train: bool) -> Traced:
    """Traces (state, images) -> (logits, auxiliary logits, batch statistics) in bfloat16 at the smallest size."""
    model = models.create_abstract(name, CLASSES, dtype=jnp.bfloat16)
    graph, state = nnx.split(model)
    size = models.info(name).min_size

    def forward(state, images):
        model = nnx.merge(graph, state, copy=True)
        rngs = nnx.Rngs(dropout=0) if train else None
        logits, auxiliary = model.logits_and_auxiliary(images, train=train, rngs=rngs)
        return logits, auxiliary, nnx.state(model, nnx.BatchStat)

    images = jax.ShapeDtypeStruct((BATCH, size, size, 3), jnp.float32)
    jaxpr, (logits, auxiliary, moved) = jax.make_jaxpr(forward, return_shape=True)(state, images)
    first = 1 + len(auxiliary)
    return Traced(
        jaxpr=jaxpr.jaxpr,
        inputs={path: index for index, path in enumerate(flatten(state))},
        logits=logits,
        auxiliary=auxiliary,
        dtypes={leaf.dtype for leaf in jax.tree.leaves((state, moved))},
        outputs={path: first + index for index, path in enumerate(flatten(moved))},
    )


def reaching(jaxpr: core.Jaxpr, outputs: list[int]) -> set[int]:
    """Returns the inputs on which the given outputs depend."""
    wanted = {jaxpr.outvars[index] for index in outputs}
    wanted = {atom for atom in wanted if not isinstance(atom, core.Literal)}
    for equation in reversed(jaxpr.eqns):
        hit = [index for index, var in enumerate(equation.outvars) if var in wanted]
        if not hit:
            continue
        used = set(range(len(equation.invars)))
        if bodies := inner(equation):
            body = bodies[0][0]
            offset = len(equation.invars) - len(body.invars)
            used = set(range(offset)) | {offset + index for index in reaching(body, hit)}
        wanted |= {
            atom
            for index, atom in enumerate(equation.invars)
            if index in used and not isinstance(atom, core.Literal)
        }
    return {index for index, var in enumerate(jaxpr.invars) if var in wanted}


def auxiliary_paths(model: models.Classifier) -> dict[str, nnx.Module]:
    heads = model.auxiliary_heads().values()
    return {name: child for name, child in vars(model).items() if any(child is h for h in heads)}


# The same blocks as in others, many times over.
_DEEP = {"resnet101", "resnet101_v1", "resnet152", "resnet152_v1"}


@pytest.fixture(
    scope="module",  # so that the tests of a name follow one another, and it is traced once
    params=[
        pytest.param(name, marks=[pytest.mark.slow] * (name in _DEEP)) for name in models.names()
    ],
)
def name(request):
    return request.param


def test_logits_are_float32_and_auxiliary_ones_come_in_training_only(name, abstract):
    heads = abstract(name).auxiliary_heads()
    for train in (False, True):
        trace = traced(name, train)
        expected = [(BATCH, CLASSES)] * (1 + train * len(heads))
        assert [each.shape for each in (trace.logits, *trace.auxiliary)] == expected
        assert {each.dtype for each in (trace.logits, *trace.auxiliary)} == {jnp.dtype("float32")}


def test_parameters_and_batch_statistics_are_float32_under_bfloat16(name):
    assert traced(name, True).dtypes == {jnp.dtype("float32")}


def test_convolutions_and_dense_layers_compute_in_bfloat16(name):
    products = [
        equation.outvars[0].aval.dtype
        for equation, _ in walk(traced(name, False).jaxpr)
        if equation.primitive.name in ("dot_general", "conv_general_dilated")
    ]
    assert products
    assert set(products) == {jnp.dtype(jnp.bfloat16)}


def test_every_parameter_reaches_the_loss(name, abstract):
    trace = traced(name, True)
    reached = reaching(trace.jaxpr, list(range(1 + len(trace.auxiliary))))
    parameters = flatten(nnx.state(abstract(name), nnx.Param))
    assert [path for path in parameters if trace.inputs[path] not in reached] == []


def test_batch_statistics_change_in_training_and_not_in_evaluation(name):
    training, evaluation = traced(name, True), traced(name, False)
    images = len(training.jaxpr.invars) - 1
    for path, output in training.outputs.items():
        kept = evaluation.jaxpr.outvars[evaluation.outputs[path]]
        assert kept is evaluation.jaxpr.invars[evaluation.inputs[path]], path
        assert {images, training.inputs[path]} <= reaching(training.jaxpr, [output]), path


def test_evaluation_uses_the_batch_statistics(name, abstract):
    trace = traced(name, False)
    reached = reaching(trace.jaxpr, [0])
    unused = [path for path in trace.outputs if trace.inputs[path] not in reached]
    heads = auxiliary_paths(abstract(name))
    assert [path for path in unused if path.split(".")[0] not in heads] == []


def test_features_come_by_stage_with_their_stride(name, summary_of, abstract):
    summary = summary_of(name)
    assert [stage.name for stage in summary.stages] == list(abstract(name).stages())
    strides = [stage.stride for stage in summary.stages]
    assert strides == sorted(strides)
    for stage in summary.stages:
        vertical, horizontal = stage.stride
        assert vertical == horizontal
        height, width, _ = stage.output_shape
        # Padding may add a little to size / stride, its absence take some away.
        assert height == width
        assert abs(height - summary.image_size / vertical) <= 3


@pytest.mark.parametrize("spec", ["squeezenet1_1", "resnet18"])
def test_stage_outputs_are_the_stages_of_the_summary(spec, summary_of):
    graph, state = nnx.split(models.create_abstract(spec))
    outputs = jax.eval_shape(
        lambda state, images: nnx.merge(graph, state, copy=True).stage_outputs(images),
        state,
        jax.ShapeDtypeStruct((5, 224, 224, 3), jnp.float32),
    )
    shapes = {stage.name: (5, *stage.output_shape) for stage in summary_of(spec).stages}
    assert {name: features.shape for name, features in outputs.items()} == shapes


def test_images_below_the_minimum_are_refused_in_one_sentence(name, abstract):
    model = abstract(name)
    small = models.info(name).min_size - 1
    with pytest.raises(models.ModelError, match=rf"^{name} needs images of at least .*\.$"):
        model(jnp.zeros((1, small, 300, 3)))
    with pytest.raises(models.ModelError, match="at least"):
        models.check_image_size(name, small)
    with pytest.raises(models.ModelError, match="takes images"):
        model(jnp.zeros((1, 300, 300, 1)))


def test_replacing_the_head_changes_the_number_of_classes_alone(name):
    model = models.create_abstract(name, CLASSES)
    before = flatten(nnx.state(model))
    models.replace_head(model, 3, nnx.Rngs(params=0))
    after = flatten(nnx.state(model))
    assert list(before) == list(after)
    changed = {path for path in after if before[path].shape != after[path].shape}
    heads = [model.head, *(f"{path}.{head.head}" for path, head in auxiliary_paths(model).items())]
    assert changed == {f"{head}.{leaf}" for head in heads for leaf in ("kernel", "bias")}
    assert {after[path].shape[-1] for path in changed} == {3}


def test_an_abstract_model_has_the_shapes_of_a_real_one():
    real, abstract = models.create("resnet18", 5), models.create_abstract("resnet18", 5)
    shapes = [{k: v.shape for k, v in flatten(nnx.state(m)).items()} for m in (real, abstract)]
    assert shapes[0] == shapes[1]


def test_what_is_known_of_a_model_is_complete(name):
    info = models.info(name)
    assert info.paper.title
    assert 2012 <= info.paper.year <= 2026
    assert info.paper.arxiv or info.paper.year < 2014
    assert info.min_size <= info.input_size <= info.resize_size
    assert 0 < info.crop_fraction <= 1
    for reported in filter(None, (info.reported, *info.also_reported)):
        assert 0 < reported.top1 < (reported.top5 or 1) <= 1
        assert reported.source
    parameters = inspect.signature(info.build).parameters
    assert {"num_classes", "dtype", "rngs"} <= set(parameters)
    assert set(info.options) == set(parameters) - {"num_classes", "dtype", "rngs"}
    assert set(info.published_options) <= set(info.options)


def test_a_label_leaves_out_defaults_and_parses_back(name):
    assert models.label(*models.parse(name)) == name
    for option, default in models.info(name).options.items():
        if isinstance(default, str):
            other = f"not {default}"
        else:
            other = (not default) if isinstance(default, bool) else default / 2
        if isinstance(default, int) and not isinstance(default, bool):
            other = default + 1
        text = models.label(name, {option: other})
        assert models.parse(text) == (name, {option: other})


@pytest.mark.parametrize(
    ("spec", "size", "top1s"),
    [
        ("mobilenet_v1", 224, [0.709, 0.706, 0.704]),
        ("mobilenet_v1:width=0.25", 224, [0.498, 0.506]),
        ("mobilenet_v1:width=0.25,padding=torch", 224, []),
        ("mobilenet_v1:width=0.25,dropout=0.2", 128, [0.415]),
        ("mobilenet_v1:depthwise=false", 224, []),
        ("mobilenet_v1:padding=torch,epsilon=1e-5", 256, [0.76094]),
        ("mobilenet_v2", 224, [0.71878, 0.72154]),
        ("mobilenet_v2", 192, []),
        ("mobilenet_v2:width=1.4", 224, []),
        ("mobilenet_v2:width=1.4,padding=tensorflow,epsilon=0.001", 224, [0.75]),
        ("inception_v3:transform_input=true,auxiliary=false", 299, [0.77294]),
        ("inception_v3:padding=tensorflow", 299, [0.779]),
        ("inception_v3", 224, []),
        ("resnet50_v1:epsilon=1.001e-05", 224, [0.749]),
        ("squeezenet1_1:final_relu=false", 224, []),
    ],
)
def test_a_published_accuracy_belongs_to_its_network_and_size(spec, size, top1s):
    name, options = models.parse(spec)
    assert [each.top1 for each in models.info(name).reported_at(size, options)] == top1s


def test_the_same_seed_makes_the_same_model():
    first, again, other = (
        jax.tree.leaves(nnx.state(models.create("mobilenet_v1", 5, rngs=nnx.Rngs(params=seed))))
        for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet5", "did you mean"),
        ("resnet50:depth=3", "has no option 'depth=3'"),
        ("alexnet:dropout=much", "is a number, not 'much'"),
        ("googlenet:auxiliary=maybe", "is true or false, not 'maybe'"),
        ("alexnet_2012:groups=3", "1 or 2 groups"),
    ],
)
def test_a_wrong_spec_is_said_in_one_sentence(spec, message):
    with pytest.raises(models.ModelError, match=message):
        models.create_abstract(spec)


def test_a_model_has_at_least_one_class():
    with pytest.raises(models.ModelError, match="at least 1 class"):
        models.create("resnet18", 0)
    with pytest.raises(models.ModelError, match="at least 1 class"):
        models.replace_head(models.create_abstract("resnet18"), 0, nnx.Rngs(0))
