import json
import os

import pytest

import models
from benchmarks.config import derived, stored
from benchmarks.errors import ConfigError
from benchmarks.machine import startup
from benchmarks.runs import validation
from input_pipeline import DataError


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("task", "detection", "config.task is one of single_label"),
        ("dtype", "float8", "config.dtype is one of float32, bfloat16"),
        ("budget.kind", "watts", "config.budget.kind is one of examples"),
        ("budget.amount", -1.0, "a number above 0, not -1"),
        ("budget.amount", float("nan"), "a number above 0, not nan"),
        ("optimizer.name", "adamx", "config.optimizer.name is one of adamw, sgd"),
        ("optimizer.learning_rate", 0.0, "config.optimizer.learning_rate is a number above 0"),
        ("interpolation", "nearest", "config.interpolation is one of bilinear, bicubic"),
        ("crop_fraction", 87.5, "config.crop_fraction is above 0 and at most 1, not 87.5"),
        ("crop_fraction", float("nan"), "config.crop_fraction is above 0 and at most 1, not nan"),
        ("std", (0.0, 1.0, 1.0), r"config.std is numbers above 0, not \[0.0, 1.0, 1.0\]"),
        ("mean", (0.5, 0.5, "a"), "config.mean is numbers, not"),
        ("num_workers", -1, "config.num_workers is a whole number from 0, not -1"),
        ("num_workers", True, "config.num_workers is a whole number, not true"),
        ("seed", 2**63, "config.seed is a whole number from 0, below 2"),
        ("seed", None, "config.seed is a whole number, not null"),
        ("max_unreadable_fraction", 2.0, "from 0 to 1, not 2.0"),
        ("progressive_sizes", (32, 0), "config.progressive_sizes is whole numbers of pixels"),
        ("augmentation.repeats", 0, "config.augmentation.repeats is a whole number from 1"),
        (
            "augmentation.mixup",
            float("inf"),
            "config.augmentation.mixup is a number from 0, not inf",
        ),
        ("dataset", " ", "config.dataset is the name of a dataset"),
        ("batch_size", 0, "config.batch_size is a whole number from 1"),
        ("image_size", "big", 'config.image_size is a number of pixels, "smallest" or "published"'),
        ("mean", (0.5,), "three numbers each"),
    ],
)
def test_a_value_that_cannot_be_run_is_named(config, field, value, says):
    with config.unlocked():
        *path, last = field.split(".")
        target = config
        for name in path:
            target = target[name]
        target[last] = value
    with pytest.raises(ConfigError, match=says):
        validation.validate(config)


def test_images_too_small_for_the_model_are_refused(config):
    config.model, config.image_size = "alexnet", "32"
    with pytest.raises(models.ModelError, match="alexnet needs images of at least 63x63"):
        validation.validate(config)


def test_the_smallest_size_is_a_multiple_of_32_that_the_model_accepts(config):
    sizes = {}
    for config.model in ("alexnet", "vgg16", "resnet50", "squeezenet1_1"):
        sizes[config.model] = derived.image_size(config)
    assert sizes == {"alexnet": 64, "vgg16": 32, "resnet50": 32, "squeezenet1_1": 32}


def test_a_models_own_learning_rate_holds_for_all_its_options(config):
    config.optimizer.model_learning_rates.mobilenet_v1 = 0.02
    config.model = "mobilenet_v1:width=0.5"
    assert derived.learning_rate(config) == 0.02
    config.model = "resnet50"
    assert derived.learning_rate(config) == config.optimizer.learning_rate


def test_commas_part_models_but_not_the_options_of_one():
    assert derived.split_specs("a,b:x=1,y=2,c,d:z=3") == ["a", "b:x=1,y=2", "c", "d:z=3"]


def test_differences_name_fields_at_any_depth():
    ours, theirs = {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}
    assert list(map(str, stored.differences(ours, theirs))) == ["a.c is 2 there, 3 here"]


@pytest.mark.parametrize(
    ("name", "crop", "changes"),
    [("none", "center", ()), ("crop_flip", "random_resized", ("flip",))],
)
def test_an_older_records_augmentation_is_read_as_it_is_written_today(
    config, tmp_path, name, crop, changes
):
    older = stored.to_plain(config) | {"augmentation": name}
    del older["eval_crops"]
    (tmp_path / "record.json").write_text(json.dumps({"config": older}))
    loaded = stored.load(tmp_path / "record.json")
    assert (loaded.augmentation.crop, loaded.augmentation.changes) == (crop, changes)
    assert (loaded.model, loaded.eval_crops) == (config.model, 1)


@pytest.mark.parametrize(
    ("version", "model"),
    [
        ({}, "mobilenet_v1:epsilon=1e-05,padding=torch"),
        ({"schema_version": 5}, "mobilenet_v1:epsilon=1e-05,padding=torch"),
        ({"schema_version": 6}, "mobilenet_v1"),
    ],
)
@pytest.mark.parametrize("in_record", [True, False])
def test_an_older_configurations_mobilenet_pads_as_it_did(
    config, tmp_path, version, model, in_record
):
    config.model = "mobilenet_v1"
    plain = stored.to_plain(config)
    content = {"config": plain} if in_record else plain
    (tmp_path / "config.json").write_text(json.dumps(content | version))
    loaded = stored.load(tmp_path / "config.json")
    assert loaded.model == model
    assert tuple(loaded.suite.models) == (model,)
    assert "schema_version" not in loaded


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("crop", "centre", "did you mean center"),
        ("changes", ("flipp",), "did you mean flip"),
        ("random_erasing", 2.0, "random_erasing is from 0 to 1, not 2.0"),
        ("mixup", -0.2, "mixup is a number from 0, not -0.2"),
    ],
)
def test_an_augmentation_that_cannot_be_is_one_sentence(config, field, value, sentence):
    config.augmentation[field] = value
    with pytest.raises((ConfigError, DataError), match=sentence):
        validation.validate(config)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("random_resized.min_area", 5.0, "min_area is above 0 and at most 1, not 5.0"),
        ("random_resized.max_area", 0.05, "min_area is at most its max_area, 0.05, not 0.08"),
        ("random_side.smallest", 481, "smallest is at most its largest, 480, not 481"),
        ("random_position.side", 0, "side is a whole number from 1, not 0"),
        ("shift.zoom", 0.5, "zoom is a number from 1, not 0.5"),
        ("shift.degrees", float("nan"), "degrees is from 0 to 180, not nan"),
        ("color_jitter.hue", 0.6, "hue is from 0 to 0.5, not 0.6"),
        ("rand_augment.magnitude", 31, "magnitude is a whole number from 0 to 30, not 31"),
    ],
)
def test_an_option_of_a_crop_or_a_change_that_cannot_be_is_one_sentence(
    config, option, value, says
):
    group, name = option.split(".")
    config.augmentation[group][name] = value
    with pytest.raises(ConfigError, match=says):
        validation.validate(config)


def test_deterministic_operations_are_asked_of_xla_once(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_other=1")
    for _ in range(2):
        startup.use_deterministic_operations()
    assert os.environ["XLA_FLAGS"] == "--xla_other=1 --xla_gpu_deterministic_ops=true"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"budget": "examples"}, "config.budget cannot be 'examples'"),
        ({"augmentation": "autoaugment"}, "there is no augmentation 'autoaugment'"),
        ({"seed": None}, "config.seed cannot be null"),
        ({"batch_size": "many"}, "config.batch_size cannot be 'many'"),
        ({"optimizer": {"learning_rate": [1]}}, r"config.optimizer.learning_rate cannot be \[1\]"),
    ],
)
def test_a_stored_configuration_of_other_types_is_one_sentence_with_its_file(
    config, tmp_path, change, says
):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(stored.to_plain(config) | change))
    with pytest.raises(ConfigError, match=says) as error:
        stored.load(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "text",
    [
        "def get_config():\n    return {'model': 'resnet50'}\n",
        "from ml_collections import ConfigDict\n\ndef get_config():\n    return ConfigDict()\n",
        "def get_config():\n    pass\n",
        "import nobodys_library\n",
        "def get_config(:\n",
        "answer = 42\n",
    ],
)
def test_a_configuration_file_that_cannot_be_is_one_sentence(command_here, tmp_path, text):
    path = tmp_path / "config.py"
    path.write_text(text)
    done = command_here("benchmarks.train", f"--config={path}", f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert str(path) in done.stderr or "--config" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
