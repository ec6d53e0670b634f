"""Beginning with the weights of another run, layers frozen or trained at a lower rate."""

import dataclasses
import hashlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import models
from benchmarks.cli import progress
from benchmarks.config import derived, stored
from benchmarks.config.fields import default_config
from benchmarks.config.setup import set_up
from benchmarks.errors import ConfigError
from benchmarks.steps import freezing
from benchmarks.steps.abstract import abstract_model, create_optimizer, shapes, split_configured
from benchmarks.steps.train_step import Settings, create_state, make_train_step
from benchmarks.train.run import train_and_evaluate
from benchmarks.weights import transfer
from benchmarks.weights.stored import load_weights
from models import macs, pretrained
from results import records

HEAD = ("fc",)


class StopsAtEight(progress.JsonLines):
    """Stops the run once it has reported step 8, as a user who presses Ctrl-C does."""

    def report(self, event):
        if event.phase == "training" and event.step >= 8:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def pretrained_dir(make_config, tmp_path_factory):
    """A suite's folder with one finished run of `tiny`."""
    workdir = tmp_path_factory.mktemp("pretrained")
    config = make_config()
    train_and_evaluate(config, workdir / "runs" / derived.run_id(config))
    return workdir


def weights_of(folder):
    _, *abstract = abstract_model(set_up(stored.load(folder / "record.json"), 10))
    return load_weights(folder, *shapes(abstract))


def leaves(tree):
    by_path = jax.tree_util.tree_leaves_with_path(tree)
    return {tuple(str(key.key) for key in path): np.asarray(leaf) for path, leaf in by_path}


@pytest.fixture(scope="module")
def probe_config(make_config, pretrained_dir):
    """A linear probe's, in which decay and averages would move what is not kept from them."""
    config = make_config()
    config.init_from = str(pretrained_dir)
    config.transfer.frozen_stages = "all"
    config.optimizer.weight_decay = 0.5
    config.ema_decay = 0.9
    return config


@pytest.fixture(scope="module")
def probe(probe_config, tmp_path_factory):
    """(record, folder) of a finished linear probe."""
    workdir = tmp_path_factory.mktemp("probe")
    return train_and_evaluate(probe_config, workdir), workdir


def test_a_linear_probe_trains_the_head_and_keeps_every_other_bit(probe, pretrained_dir):
    record, workdir = probe
    source = pretrained_dir / "runs" / "tiny-seed0"
    assert record.init_digest == records.read(source / "record.json").weights_digest
    before, after = weights_of(source), weights_of(workdir)
    for old, new in zip(map(leaves, before), map(leaves, after), strict=True):
        for path, value in old.items():
            assert np.array_equal(value, new[path]) == (path[:1] != HEAD), path
    assert record.metrics.test["top1"] > 0.5
    # Every layer forward, and the head's two gradients.
    convolution, head = 8 * 8 * 9 * 3 * 8, 8 * 8 * 8 * 10
    assert record.budget.train_flops_spent == 2 * 384 * (convolution + 3 * head)


def test_without_freezing_everything_moves_from_where_the_source_ended(
    config, pretrained_dir, tmp_path
):
    config.init_from = str(pretrained_dir / "runs" / "{model}-seed{seed}")
    config.budget.amount = 32.0
    config.optimizer.warmup_fraction = 0.0
    config.optimizer.learning_rate = 1e-4
    record = train_and_evaluate(config, tmp_path)
    before = leaves(weights_of(pretrained_dir / "runs" / "tiny-seed0")[0])
    after = leaves(weights_of(tmp_path)[0])
    moved = np.abs(after["conv", "kernel"] - before["conv", "kernel"]).max()
    assert 0 < moved < 2e-4
    # The head is new, though the classes are as many.
    assert np.abs(after["fc", "kernel"] - before["fc", "kernel"]).max() > 1e-2
    assert record.budget.train_flops_spent == 6 * 32 * record.model.macs


def test_a_stopped_transfer_resumes_to_the_same_bits(probe, probe_config, tmp_path):
    whole, _ = probe
    with pytest.raises(KeyboardInterrupt):
        train_and_evaluate(probe_config, tmp_path, reporter=StopsAtEight())
    resumed = train_and_evaluate(probe_config, tmp_path)
    assert resumed.weights_digest == whole.weights_digest
    assert resumed.init_digest == whole.init_digest


def test_a_head_of_other_classes_is_drawn_and_the_rest_taken(config, pretrained_dir, tmp_path):
    config.init_from = str(pretrained_dir)
    drawn = split_configured(set_up(config, 10), models.create("tiny", 3, rngs=nnx.Rngs(params=5)))[
        1:
    ]
    params, batch_stats = transfer.begin(config, *drawn)
    source = weights_of(pretrained_dir / "runs" / "tiny-seed0")
    assert params["fc"]["kernel"].shape == (512, 3)
    np.testing.assert_array_equal(params["fc"]["kernel"], drawn[0]["fc"]["kernel"])
    np.testing.assert_array_equal(params["conv"]["kernel"], source[0]["conv"]["kernel"])
    np.testing.assert_array_equal(batch_stats["bn"]["mean"], source[1]["bn"]["mean"])


def test_a_run_that_padded_otherwise_is_refused_and_an_earlier_versions_is_found(
    config, pretrained_dir, tmp_path
):
    name = "mobilenet_v1-width=0.25-seed0"
    tree = json.loads((pretrained_dir / "runs" / "tiny-seed0" / "record.json").read_text())
    tree["model"] |= {"name": "mobilenet_v1", "options": {"width": 0.25}}
    tree["config"]["model"] = "mobilenet_v1:width=0.25"
    folder = tmp_path / "runs" / name
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(tree | {"schema_version": 5}))
    today = "mobilenet_v1:width=0.25,padding=torch,epsilon=1e-05"
    for init_from in (tmp_path, tmp_path / "runs" / "{model}-seed{seed}"):
        config.model, config.init_from = today, str(init_from)
        assert transfer.source(config).path == folder
        config.model = "mobilenet_v1:width=0.25"
        with pytest.raises(ConfigError) as error:
            transfer.source(config)
        assert str(error.value) == (
            f"config.init_from: {folder} was trained with padding=torch, and config.model=mobilenet_v1:width=0.25 has"
            " padding=tensorflow."
        )


def test_a_file_of_weights_is_begun_from(config, tmp_path):
    model = models.create("tiny", 4, rngs=nnx.Rngs(params=7))
    path = tmp_path / "weights.safetensors"
    pretrained.save(model, path)
    config.init_from = str(path)
    assert transfer.source(config).digest == hashlib.sha256(path.read_bytes()).hexdigest()
    drawn = split_configured(
        set_up(config, 10), models.create("tiny", 10, rngs=nnx.Rngs(params=1))
    )[1:]
    params, _ = transfer.begin(config, *drawn)
    np.testing.assert_array_equal(params["conv"]["kernel"], model.conv.kernel.get_value())
    assert params["fc"]["kernel"].shape == (512, 10)
    wide = models.create("tiny:width=16", 4, rngs=nnx.Rngs(params=7))
    pretrained.save(wide, path)
    with pytest.raises(ConfigError, match=r"needs config\.model=tiny:width=16, not tiny"):
        transfer.begin(config, *drawn)


def frozen_step(spec, named, **settings):
    """Returns a compiled step of `spec` with frozen stages, its state, what is frozen and the pure model."""
    config = default_config()
    config.model, config.transfer.frozen_stages = spec, named
    config.optimizer.clip_norm = 0.0
    frozen = freezing.of(config)
    pure, params, batch_stats = split_configured(
        set_up(config, 10), models.create(spec, 10, rngs=nnx.Rngs(params=1))
    )
    optimizer = create_optimizer(set_up(config, 10))
    with_ema = settings.get("ema_decay", 0) > 0
    state = create_state(params, batch_stats, optimizer, with_ema, frozen)
    settings = Settings(lambda progress: jnp.float32(0.1), frozen=frozen, **settings)
    return make_train_step(pure, optimizer, settings), state, frozen


def batch_of(size):
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (size, 32, 32, 3), np.uint8),
        "label": rng.integers(0, 10, size, np.int32),
        "mask": np.ones(size, np.float32),
    }


@pytest.mark.parametrize("settings", [{}, {"accumulation": 2, "ema_decay": 0.9}, {"remat": True}])
def test_what_is_frozen_has_no_optimizer_state_and_keeps_its_bits(settings):
    step, state, frozen = frozen_step("tiny", "stem", **settings)
    assert {leaf.shape for leaf in jax.tree.leaves(state["opt_state"])} == {(), (10,), (512, 10)}
    before = {name: leaves(state[name]) for name in ("params", "batch_stats")}
    after, _ = jax.jit(step)(state, batch_of(4), 0.0)
    for name, old in before.items():
        for tree in (after, *([after["ema"]] if "ema" in after else [])):
            new = leaves(tree[name])
            for path, value in old.items():
                assert np.array_equal(value, new[path]) == (path in frozen.variables), path


@pytest.mark.parametrize("named", ["", "stem", "all"])
def test_the_backward_pass_ends_above_what_is_frozen(named):
    step, state, _ = frozen_step("tiny", named)
    jaxpr = jax.make_jaxpr(step)(shapes(state), shapes(batch_of(1)), 0.0).jaxpr
    counted = sum(times * macs.equation_macs(each) for each, times in macs.walk(jaxpr))
    convolution, head = 8 * 8 * 9 * 3 * 8, 8 * 8 * 8 * 10
    # Forward and the gradients of kernels, and where the stem is trained that of the head's input.
    assert counted == (convolution + 2 * head if named else 2 * convolution + 3 * head)


@pytest.mark.parametrize("name", ["adamw", "sgd", "rmsprop", "lamb"])
def test_the_backbone_moves_by_a_share_of_the_learning_rate(config, name):
    config.optimizer.name = name
    config.optimizer.weight_decay = 0.1
    _, params, _ = split_configured(
        set_up(config, 10), models.create("tiny", 10, rngs=nnx.Rngs(params=1))
    )
    gradients = jax.tree.map(lambda leaf: jnp.cos(100 * leaf), params)

    def third_update(factor):
        config.transfer.backbone_learning_rate = factor
        optimizer = create_optimizer(set_up(config, 10))
        state = optimizer.init(params)
        update = jax.jit(optimizer.update)
        for _ in range(3):
            updates, state = update(gradients, state, params, learning_rate=0.1)
        return leaves(updates)

    plain, slow = third_update(1.0), third_update(0.25)
    for path, update in plain.items():
        share = 1.0 if path[:1] == HEAD else 0.25
        np.testing.assert_allclose(slow[path], share * update, rtol=1e-6, err_msg=path)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("init_from", "nowhere", "no completed run in nowhere"),
        ("init_from", "nowhere.pth", "nowhere.pth cannot be read: No such file"),
        ("transfer.frozen_stages", "stem,neck", "no stage 'neck', but stem"),
        ("transfer.backbone_learning_rate", 0.0, "a number above 0, not 0.0"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(config, tmp_path, field, value, sentence):
    config.update_from_flattened_dict({field: value})
    with pytest.raises(ConfigError, match=sentence):
        train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_model_or_with_other_weights_is_not_begun_from(
    config, pretrained_dir, tmp_path
):
    source = pretrained_dir / "runs" / "tiny-seed0"
    config.init_from = str(source)
    config.model = "squeezenet1_1"
    with pytest.raises(ConfigError, match="is a run of tiny, not of squeezenet1_1"):
        transfer.source(config)
    config.model = "tiny:width=4"
    drawn = split_configured(set_up(config, 10), models.create("tiny:width=4", 10))[1:]
    with pytest.raises(ConfigError, match=r"bn\.bias is \[8\] there, \[4\] here"):
        transfer.begin(config, *drawn)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "weights").symlink_to(source / "weights")
    record = json.loads((source / "record.json").read_text())
    (copy / "record.json").write_text(json.dumps(record | {"weights_digest": "0" * 64}))
    config.model, config.init_from = "tiny", str(copy)
    drawn = split_configured(set_up(config, 10), models.create("tiny", 10))[1:]
    with pytest.raises(ConfigError, match="are not those of its record"):
        transfer.begin(config, *drawn)
    broken = dataclasses.replace(records.read(source / "record.json"), status="failed")
    records.write(broken, copy / "record.json")
    with pytest.raises(ConfigError, match="no completed run"):
        transfer.source(config)
