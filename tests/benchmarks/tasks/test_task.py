"""Each task's targets, losses and decisions, in the compiled steps too, and the mistakes about them."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics
from flax import nnx
from PIL import Image

from benchmarks import tasks
from benchmarks.config import stored
from benchmarks.errors import ConfigError
from benchmarks.inference.predict import predict
from benchmarks.runs import validation
from benchmarks.steps.eval_step import make_eval_step
from benchmarks.steps.pure_model import split_module
from benchmarks.steps.train_step import Settings, create_state, make_train_step
from input_pipeline import on_device, seeds
from models.classifier import Classifier
from models.layers import Linear

_NAMES = ("single_label", "binary", "multi_label")


class Flat(Classifier):
    """One dense layer on the pixels, and an auxiliary one: nothing in it depends on the batch."""

    auxiliary_weight = 0.5

    def __init__(self, num_classes, rngs):
        self.num_classes = num_classes
        self.fc = Linear(48, num_classes, dtype=None, rngs=rngs)
        self.other = Linear(48, num_classes, dtype=None, rngs=rngs)

    def stages(self):
        return {"pixels": lambda x, mode: x.reshape(x.shape[0], -1)}

    def classify(self, features, mode):
        return self.fc(features)

    def auxiliary_heads(self):
        return {"pixels": lambda x, mode: self.other(x)}


def logits_of(name):
    return 1 if name == "binary" else 5


def batch_of(name, size=8, seed=0):
    """A batch of random pictures, 4x4, with the task's kind of labels."""
    rng = np.random.default_rng(seed)
    labels = {
        "single_label": rng.integers(0, 5, size, np.int32),
        "binary": rng.integers(0, 2, size, np.int32),
        "multi_label": rng.integers(0, 2, (size, 5)).astype(np.float32),
    }
    image = rng.integers(0, 256, (size, 4, 4, 3), np.uint8)
    return {"image": image, "label": labels[name], "mask": np.ones(size, np.float32)}


@pytest.fixture(params=_NAMES)
def flat(request):
    """(task's name, pure model, state before training, optimizer that changes nothing)."""
    name = request.param
    model = Flat(logits_of(name), nnx.Rngs(params=3))
    pure, params, batch_stats = split_module(model, (0.5,) * 3, (0.25,) * 3, tasks.TASKS[name])
    optimizer = optax.with_extra_args_support(optax.sgd(0.0))
    return name, pure, create_state(params, batch_stats, optimizer), optimizer


def measure(flat, batch, **settings):
    """Returns the metrics of a step."""
    _, pure, state, optimizer = flat
    options = {"learning_rate": lambda progress: jnp.float32(1.0)} | settings
    step = jax.jit(make_train_step(pure, optimizer, Settings(**options)))
    return {name: float(value) for name, value in step(state, batch, 0.0)[1].items()}


def test_the_sigmoid_loss_is_optaxs_with_soft_targets_too():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(0, 3, (20, 4)).astype(np.float32), rng.random((20, 4), np.float32)
    expected = optax.sigmoid_binary_cross_entropy(logits, targets).mean(-1)
    np.testing.assert_allclose(tasks.MULTI_LABEL.loss(logits, targets), expected, rtol=1e-5)
    np.testing.assert_allclose(
        tasks.BINARY.loss(logits[:, :1], targets[:, :1]),
        optax.sigmoid_binary_cross_entropy(logits[:, 0], targets[:, 0]),
        rtol=1e-5,
    )


def test_the_sigmoid_loss_is_scikit_learns_log_loss():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (50, 1)).astype(np.float32)
    labels = rng.integers(0, 2, 50).astype(np.int32)
    targets = tasks.BINARY.targets(labels, 1, 0.0)
    expected = sklearn.metrics.log_loss(labels, 1 / (1 + np.exp(-logits[:, 0].astype(float))))
    assert float(tasks.BINARY.loss(logits, targets).mean()) == pytest.approx(expected, rel=1e-5)


def test_a_positive_weighs_what_its_label_says():
    # sigmoid(0) is 1/2: a positive of weight 3 costs 3 ln 2, a negative ln 2.
    targets = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    loss = tasks.MULTI_LABEL.loss(jnp.zeros((2, 2)), targets, (3.0, 5.0))
    np.testing.assert_allclose(loss, np.log(2) * np.array([(3 + 1) / 2, (1 + 5) / 2]), rtol=1e-6)


def test_the_loss_of_certain_logits_is_finite():
    logits = jnp.array([[1e4], [-1e4]])
    np.testing.assert_allclose(tasks.BINARY.loss(logits, jnp.array([[0.0], [0.0]])), [1e4, 0])


def test_smoothing_spreads_a_target_over_all_it_could_be():
    one = tasks.SINGLE_LABEL.targets(jnp.array([1]), 4, 0.1)
    np.testing.assert_allclose(one, [[0.025, 0.925, 0.025, 0.025]], rtol=1e-6)
    two = tasks.BINARY.targets(jnp.array([1, 0]), 1, 0.1)
    np.testing.assert_allclose(two, [[0.95], [0.05]], rtol=1e-6)
    many = tasks.MULTI_LABEL.targets(jnp.array([[1.0, 0.0]]), 2, 0.2)
    np.testing.assert_allclose(many, [[0.9, 0.1]], rtol=1e-6)


@pytest.mark.parametrize("task", [tasks.BINARY, tasks.MULTI_LABEL])
def test_crops_are_joined_by_their_mean_confidence(task):
    logits = jnp.array([[[2.0], [-1.0], [30.0]]])
    expected = np.mean(1 / (1 + np.exp(-logits[0])))
    confidence = 1 / (1 + np.exp(-task.join_crops(logits)))
    np.testing.assert_allclose(confidence, [[expected]], rtol=1e-5)


def test_right_is_every_label_on_its_side_and_never_what_is_not_finite():
    logits = jnp.array([[1.0, -1.0], [1.0, 1.0], [jnp.nan, -1.0], [1.0, -jnp.inf]])
    labels = jnp.array([[1.0, 0.0]] * 4)
    np.testing.assert_array_equal(tasks.MULTI_LABEL.right(logits, labels), [1, 0, 0, 0])
    binary = tasks.BINARY.right(jnp.array([[0.5], [-0.5], [jnp.nan]]), jnp.array([1, 1, 0]))
    np.testing.assert_array_equal(binary, [1, 0, 0])


def test_a_step_measures_the_tasks_loss_with_the_auxiliary_heads(flat):
    name, pure, state, _ = flat
    batch = batch_of(name)
    logits, auxiliary = pure.merge(state["params"], {}).logits_and_auxiliary(
        pure.normalize(batch["image"]), train=True
    )
    task = tasks.TASKS[name]
    targets = task.targets(batch["label"], logits_of(name), 0.1)
    main, other = (float(task.loss(each, targets).mean()) for each in (logits, *auxiliary))
    measured = measure(flat, batch, label_smoothing=0.1)
    assert measured["loss"] == pytest.approx(main + 0.5 * other, rel=1e-5)
    right = float(task.right(logits, batch["label"]).mean())
    assert measured[task.train_metric] == pytest.approx(right)


@pytest.mark.parametrize("flat", ["binary", "multi_label"], indirect=True)
def test_neither_padding_nor_saving_memory_changes_a_step(flat):
    name = flat[0]
    batch, more = batch_of(name), batch_of(name, size=4, seed=9)
    padded = {key: np.concatenate([batch[key], more[key]]) for key in batch}
    padded["mask"][8:] = 0
    weights = {"positive_weights": (3.0,) * logits_of(name)}
    whole = measure(flat, batch, **weights)
    assert measure(flat, padded, **weights) == pytest.approx(whole, rel=1e-5)
    assert measure(flat, batch, accumulation=4, **weights) == pytest.approx(whole, rel=1e-4)
    assert measure(flat, batch, remat=True, **weights) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("flat", ["binary", "multi_label"], indirect=True)
def test_mixing_mixes_the_targets(flat):
    name, pure, state, _ = flat
    batch = batch_of(name)
    measured = measure(flat, batch, mixup=1.0)
    key = jax.random.fold_in(seeds.key(0, "mixing"), 0)
    task = tasks.TASKS[name]

    @jax.jit
    def losses(batch):
        images, targets = on_device.mix(
            pure.normalize(batch["image"]),
            task.targets(batch["label"], logits_of(name), 0.0),
            key,
            mixup_alpha=1.0,
            cutmix_alpha=0.0,
        )
        logits, auxiliary = pure.merge(state["params"], {}).logits_and_auxiliary(images, train=True)
        return [task.loss(each, targets).mean() for each in (logits, *auxiliary)]

    main, other = map(float, losses(batch))
    assert measured["loss"] == pytest.approx(main + 0.5 * other, rel=1e-5)


@pytest.mark.parametrize("flat", ["binary", "multi_label"], indirect=True)
def test_evaluation_keeps_logits_and_targets_of_each_example_once(flat):
    name, pure, state, _ = flat
    batch = batch_of(name, size=11)
    padded = {key: np.concatenate([value, value[:5]]) for key, value in batch.items()}
    padded["mask"][11:] = 0
    eval_step = jax.jit(make_eval_step(pure))
    parts = [{key: value[cut] for key, value in padded.items()} for cut in (slice(8), slice(8, 16))]
    predictions = predict(eval_step, state["params"], {}, parts)
    np.testing.assert_allclose(
        predictions["logits"],
        pure.logits(state["params"], {}, batch["image"]),
        rtol=1e-5,
        atol=1e-6,
    )
    np.testing.assert_array_equal(predictions["targets"], batch["label"].reshape(11, -1))
    np.testing.assert_array_equal(predictions["index"], np.arange(11))


@pytest.fixture
def about(config):
    """Makes a configuration of other fields."""

    def change(**fields):
        config.update(fields)
        return config

    return change


def test_balanced_weighs_all_positives_as_much_as_all_negatives(about):
    config = about(task="binary", positive_class="3", positive_weight="balanced")
    dataset = tasks.load_dataset(config)
    source = dataset.source("train")
    threes = sum(source[i]["label"] for i in range(len(source)))
    assert threes == 128
    assert tasks.positive_weights(config, dataset) == ((1257 - 128) / 128,)
    config.positive_weight = "2.5"
    assert tasks.positive_weights(config, dataset) == (2.5,)
    config.positive_weight = "1"
    assert tasks.positive_weights(config, dataset) == ()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"task": "binary"}, "digits has 10 classes: name one as config.positive_class, such as"),
        ({"task": "multi_label"}, "digits has one for each"),
        ({"dataset": "digits_multilabel"}, "any number of labels per picture"),
        ({"dataset": "digits_multilabel", "task": "binary"}, "name one as config.positive_class"),
    ],
)
def test_labels_that_do_not_fit_the_task_are_one_sentence(about, fields, says):
    with pytest.raises(ConfigError, match=says) as caught:
        tasks.load_dataset(about(**fields))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"positive_class": "3"}, "config.positive_class goes with config.task=binary"),
        ({"positive_weight": "balanced"}, "config.positive_weight goes with"),
        ({"task": "binary", "positive_weight": "much"}, "a number above 0 or 'balanced'"),
        ({"task": "multi_label", "positive_weight": "-1"}, "a number above 0 or 'balanced'"),
        ({"task": "multi_label", "positive_weight": "inf"}, "a number above 0 or 'balanced'"),
    ],
)
def test_fields_that_do_not_fit_the_task_are_one_sentence(about, fields, says):
    with pytest.raises(ConfigError, match=says):
        validation.validate(about(**fields))


def test_a_dataset_of_one_class_is_refused(about, tmp_path):
    folder = tmp_path / "train" / "cat"
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "1.png")
    with pytest.raises(ConfigError, match="has one class, cat: there is nothing to tell apart"):
        tasks.load_dataset(about(dataset=f"folder:{tmp_path}"))


def test_a_record_without_the_fields_of_tasks_is_one_of_single_label(config, tmp_path):
    content = stored.to_plain(config)
    for field in ("task", "positive_class", "positive_weight"):
        del content[field]
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert stored.load(tmp_path / "config.json").task == "single_label"


@pytest.mark.parametrize("task", ["binary", "multi_label"])
def test_a_model_whose_logits_cannot_be_negative_is_refused_where_a_sigmoid_follows(config, task):
    config.task, config.model = task, "squeezenet1_1"
    with pytest.raises(ConfigError, match=f"config.task={task} set its option final_relu=false"):
        validation.validate(config)
    config.model = "squeezenet1_1:final_relu=false"
    validation.validate(config)
