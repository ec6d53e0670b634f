import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.config.fields import default_config
from benchmarks.inference.predict import predict
from benchmarks.steps import optimizers
from benchmarks.steps.eval_step import make_eval_step
from benchmarks.steps.pure_model import split_module
from benchmarks.steps.train_step import Settings, create_state, final_weights, make_train_step
from benchmarks.tasks import metrics
from models.classifier import Classifier
from models.layers import Conv, Linear, relu


class Plain(Classifier):
    """Two stages of two convolutions each, an auxiliary head on either; no dropout, no batch norm."""

    auxiliary_weight = 0.3

    def __init__(self, num_classes, rngs):
        self.num_classes = num_classes
        make = {"strides": 2, "padding": 1, "dtype": None, "rngs": rngs}
        self.convolutions = nnx.List([Conv(inputs, 8, 3, **make) for inputs in (3, 8, 8, 8)])
        self.heads = nnx.List([Linear(8, num_classes, dtype=None, rngs=rngs) for _ in range(3)])

    def stages(self):
        first, second, third, fourth = self.convolutions
        return {
            "one": lambda x, mode: relu(second(relu(first(x)))),
            "two": lambda x, mode: relu(fourth(relu(third(x)))),
        }

    def classify(self, features, mode):
        return self.heads[0](features.mean((1, 2)))

    def auxiliary_heads(self):
        one, two = self.heads[1:]
        return {
            "one": lambda x, mode: one(x.mean((1, 2))),
            "two": lambda x, mode: two(x.mean((1, 2))),
        }


@pytest.fixture
def pure_and_state():
    model = models.create("tiny", 10, rngs=nnx.Rngs(params=1))
    pure, params, batch_stats = split_module(model, (0.5,) * 3, (0.25,) * 3)
    # A fixed rate: the one that the step gives is passed over.
    optimizer = optax.with_extra_args_support(optax.adam(1e-3))
    return pure, create_state(params, batch_stats, optimizer), optimizer


def make_step(pure, optimizer, **settings):
    """Returns the step of (state, batch, progress), of which the last may be left out."""
    constant = {"learning_rate": lambda progress: jnp.float32(1.0)}
    step = make_train_step(pure, optimizer, Settings(**(constant | settings)))
    return lambda state, batch, progress=0.0: step(state, batch, progress)


def loss_of(step):
    """The step's loss alone, compiled: nothing is computed for gradients."""
    return jax.jit(lambda state, batch: step(state, batch)[1]["loss"])


def _batch(size, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (size, 32, 32, 3), np.uint8),
        "label": rng.integers(0, 10, size, np.int32),
        "mask": np.ones(size, np.float32),
    }


def test_only_plain_dicts_and_optax_tuples_cross_jit(pure_and_state):
    _, state, _ = pure_and_state

    def check(tree):
        for value in tree.values():
            assert type(value) is dict or isinstance(value, jax.Array)
            if type(value) is dict:
                check(value)

    check({"params": state["params"], "batch_stats": state["batch_stats"]})


def test_a_step_lowers_the_loss_on_its_own_batch_and_moves_batch_statistics(pure_and_state):
    pure, state, optimizer = pure_and_state
    step = jax.jit(make_step(pure, optimizer))
    before = jax.tree.leaves(state["batch_stats"])
    batch, losses = _batch(16), []
    for _ in range(20):
        state, metrics = step(state, batch)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < losses[0] / 2
    assert int(state["step"]) == 20
    after = jax.tree.leaves(state["batch_stats"])
    assert all(not np.allclose(old, new) for old, new in zip(before, after, strict=True))


def test_dropout_depends_on_the_seed_and_the_step_alone(pure_and_state):
    pure, state, optimizer = pure_and_state

    def loss(seed, at):
        step = make_step(pure, optimizer, seed=seed)
        return float(loss_of(step)(state | {"step": jnp.int32(at)}, _batch(8)))

    assert loss(0, 3) == loss(0, 3)
    assert loss(0, 3) != loss(0, 4)
    assert loss(0, 3) != loss(1, 3)


def test_masked_examples_are_not_predicted(pure_and_state):
    pure, state, _ = pure_and_state
    eval_step = jax.jit(make_eval_step(pure))
    batch = _batch(12)
    padded = {name: np.concatenate([value, value[:4]]) for name, value in batch.items()}
    padded["mask"][[5, 12, 13, 14, 15]] = 0.0
    weights = state["params"], state["batch_stats"]
    predictions = predict(eval_step, *weights, [padded, batch])
    np.testing.assert_array_equal(predictions["index"], [*range(5), *range(6, 12), *range(16, 28)])
    np.testing.assert_array_equal(predictions["label"][-12:], batch["label"])


def test_evaluation_is_the_mean_over_unmasked_examples_whatever_the_batches(pure_and_state):
    pure, state, _ = pure_and_state
    eval_step = jax.jit(make_eval_step(pure))
    batch = _batch(12)
    logits = np.asarray(pure.logits(state["params"], state["batch_stats"], batch["image"]))
    by_hand = {
        "top1": np.mean(logits.argmax(-1) == batch["label"]),
        "top5": np.mean(
            [
                label in np.argsort(row)[-5:]
                for row, label in zip(logits, batch["label"], strict=True)
            ]
        ),
        "loss": np.mean(
            [
                np.log(np.exp(row - row[label]).sum())
                for row, label in zip(logits, batch["label"], strict=True)
            ]
        ),
    }
    halves = [
        {name: value[part] for name, value in batch.items()} for part in (slice(7), slice(7, 12))
    ]
    predictions = predict(eval_step, state["params"], state["batch_stats"], halves)
    np.testing.assert_array_equal(predictions["predicted"], logits.argmax(-1))
    measured = metrics.single_label(predictions)
    assert measured.pop("examples") == 12
    del measured["ece"]
    assert measured == pytest.approx(by_hand, rel=1e-5)


def test_logits_that_are_not_finite_are_never_right():
    logits = jnp.array([[jnp.nan, jnp.nan], [jnp.nan, 1.0], [2.0, 1.0]])
    np.testing.assert_array_equal(tasks.rank(logits, jnp.array([0, 0, 0])), [2, 2, 0])


def test_equal_logits_are_won_by_the_lowest_class_alone():
    np.testing.assert_array_equal(tasks.rank(jnp.zeros((3, 3)), jnp.arange(3)), [0, 1, 2])


def test_auxiliary_losses_are_weighted_as_the_model_says():
    assert models.create_abstract("googlenet").auxiliary_weight == 0.3  # the paper, section 5
    model = Plain(10, nnx.Rngs(params=0))
    pure, params, batch_stats = split_module(model, (0.5,) * 3, (0.25,) * 3)
    optimizer = optax.with_extra_args_support(optax.sgd(0.0))
    state = create_state(params, batch_stats, optimizer)
    batch = _batch(4)
    step = make_step(pure, optimizer)

    @jax.jit
    def both(state, batch):
        logits, auxiliary = model.logits_and_auxiliary(pure.normalize(batch["image"]), train=True)
        losses = [
            optax.softmax_cross_entropy_with_integer_labels(each, batch["label"]).mean()
            for each in (logits, *auxiliary)
        ]
        return step(state, batch)[1]["loss"], losses

    loss, (main, first, second) = both(state, batch)
    assert float(loss) == pytest.approx(float(main + 0.3 * (first + second)), rel=1e-5)


def test_mixing_and_erasing_change_the_loss_and_depend_on_the_seed_and_the_step(pure_and_state):
    pure, state, optimizer = pure_and_state
    batch = _batch(8)

    def losses(seed=0, **options):
        """Those of steps 0 and 1."""
        loss = loss_of(make_step(pure, optimizer, seed=seed, **options))
        return [float(loss(state | {"step": jnp.int32(at)}, batch)) for at in (0, 1)]

    plain = losses()
    for options in ({"random_erasing": 1.0}, {"mixup": 1.0}, {"cutmix": 1.0}):
        first = losses(**options)
        assert len({plain[0], *first, *losses(seed=1, **options)}) == 5


def test_several_crops_of_an_example_are_averaged_by_their_softmax(pure_and_state):
    pure, state, _ = pure_and_state
    weights = state["params"], state["batch_stats"]
    crops = _batch(6)["image"]
    together = pure.logits(*weights, crops.reshape(2, 3, 32, 32, 3))
    apart = jax.nn.softmax(pure.logits(*weights, crops)).reshape(2, 3, 10).mean(1)
    np.testing.assert_allclose(jax.nn.softmax(together), apart, rtol=1e-5)


@pytest.fixture
def plain():
    """(pure model, state, SGD at the given rate) of a network without batch norm or dropout."""
    model = Plain(10, nnx.Rngs(params=1))
    pure, params, batch_stats = split_module(model, (0.5,) * 3, (0.25,) * 3)
    optimizer = optimizers.create_optimizer(
        ConfigDict(
            default_config().optimizer.to_dict()
            | {"name": "sgd", "weight_decay": 0.0, "clip_norm": 0.0}
        )
    )
    return pure, create_state(params, batch_stats, optimizer), optimizer


def assert_close(left, right, rtol):
    for one, other in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        scale = np.abs(other).max() + 1e-12
        assert np.abs(np.asarray(one) - np.asarray(other)).max() / scale < rtol


@pytest.mark.parametrize("option", [{"accumulation": 4}, {"remat": True}])
def test_saving_memory_gives_the_step_of_the_whole_batch(plain, option):
    pure, state, optimizer = plain
    batch = _batch(8)
    whole, metrics = jax.jit(make_step(pure, optimizer))(state, batch)
    saved, also = jax.jit(make_step(pure, optimizer, **option))(state, batch)
    assert_close(saved["params"], whole["params"], 1e-5)
    assert float(also["loss"]) == pytest.approx(float(metrics["loss"]), rel=1e-5)
    assert float(also["gradient_norm"]) == pytest.approx(float(metrics["gradient_norm"]), rel=1e-4)


def test_rematerialising_keeps_less_for_the_gradients(plain):
    pure, state, optimizer = plain

    def kept(**options):
        step = make_step(pure, optimizer, **options)
        with models.traced_for("tpu"):  # where every convolution is one operation
            return str(jax.make_jaxpr(step)(state, _batch(4))).count("conv_general_dilated")

    # The stages' insides are computed a second time.
    assert kept(remat=True) > kept()


def test_the_learning_rate_is_that_of_the_share_of_the_run_that_is_done(plain):
    pure, state, optimizer = plain
    step = make_step(pure, optimizer, learning_rate=lambda progress: 0.5 * (1 - progress))
    rate = jax.jit(lambda *arguments: step(*arguments)[1]["learning_rate"])
    assert float(rate(state, _batch(4), jnp.float32(0.4))) == pytest.approx(0.5 * (1 - 0.4))


def test_moving_averages_follow_the_weights_and_are_what_is_evaluated(pure_and_state):
    pure, state, optimizer = pure_and_state
    state = create_state(state["params"], state["batch_stats"], optimizer, with_ema=True)
    step = jax.jit(make_step(pure, optimizer, ema_decay=0.99))
    first = jax.tree.leaves(state["params"])[0]
    state, _ = step(state, _batch(8))
    moved = jax.tree.leaves(state["params"])[0]
    # In the first step the decay is 1 / 10.
    expected = 0.1 * np.asarray(first) + 0.9 * np.asarray(moved)
    np.testing.assert_allclose(jax.tree.leaves(state["ema"]["params"])[0], expected, rtol=1e-5)
    params, batch_stats = final_weights(state)
    assert params is state["ema"]["params"]
    assert batch_stats is state["ema"]["batch_stats"]
    plain_weights = final_weights({"params": 1, "batch_stats": 2})
    assert plain_weights == (1, 2)
