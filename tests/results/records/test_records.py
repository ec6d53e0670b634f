"""A record survives its file, a bad one is named, and a folder of them reads in any order."""

import dataclasses
import json
import math
import threading

import numpy as np
import pytest

from results import RecordError, records
from results.records import Failure, Model, Plugin, Throughput


@pytest.fixture
def changed(make):
    """Returns a function to the JSON of a record in which the field at `path` is `value`, or gone."""

    def changed(path: str, value) -> str:
        tree = json.loads(records.to_json(make()))
        *parents, last = path.split(".")
        node = tree
        for parent in parents:
            node = node[parent]
        if value is ...:
            del node[last]
        else:
            node[last] = value
        return json.dumps(tree)

    return changed


def test_record_survives_json(make):
    assert records.from_json(records.to_json(make())) == make()


def test_json_keys_are_the_schema(make):
    tree = json.loads(records.to_json(make()))
    assert tree["schema_version"] == 7
    assert set(tree) == {
        *("schema_version", "run_id", "status", "error", "model", "dataset", "budget", "recipe"),
        *("seed", "metrics", "timings", "throughput", "software", "hardware", "git", "command"),
        *("config", "started_at", "finished_at", "failure", "weights_digest"),
        *(
            "unreadable_examples",
            "accumulation",
            "remat",
            "peak_memory_bytes",
            "concurrent_runs",
            "init_digest",
        ),
        *("decision", "positive_weights", "plugins"),
    }
    assert set(tree["model"]) == {
        *("name", "options", "image_size", "num_classes", "parameters"),
        *("auxiliary_parameters", "macs", "activations", "weight_bytes"),
    }
    assert set(tree["budget"]) == {
        *("kind", "amount", "steps", "batch_size", "examples_spent", "train_flops_spent"),
        "train_seconds_spent",
    }


def test_plugins_survive_json_and_older_records_have_none(make):
    plugins = (Plugin("mine.net", "mine", "1.2", "ab" * 32), Plugin("local"))
    record = make(plugins=plugins)
    tree = json.loads(records.to_json(record))
    assert tree["plugins"] == [
        {"module": "mine.net", "package": "mine", "version": "1.2", "digest": "ab" * 32},
        {"module": "local", "package": None, "version": None, "digest": None},
    ]
    assert records.from_json(records.to_json(record)) == record
    del tree["plugins"]
    older = records.from_json(json.dumps(tree | {"schema_version": 3}))
    assert (older.plugins, older.schema_version) == ((), records.SCHEMA_VERSION)


def test_an_earlier_records_model_is_named_as_what_it_was(make):
    record = make(model=Model("mobilenet_v1", {"width": 0.25}, 32, 10))
    record = dataclasses.replace(record, config={"model": "mobilenet_v1:width=0.25"})
    tree = json.loads(records.to_json(record))
    assert records.from_json(json.dumps(tree)) == record
    older = records.from_json(json.dumps(tree | {"schema_version": 5}))
    assert older.label == "mobilenet_v1:epsilon=1e-05,padding=torch,width=0.25"
    assert older.config["model"] == older.label
    assert records.from_json(records.to_json(older)) == older


@pytest.mark.parametrize("config", [{"model": 3}, {}, {"model": None}])
def test_an_earlier_record_without_a_models_name_in_its_configuration_is_read(make, config):
    record = make(model=Model("mobilenet_v1", {}, 32, 10), config=config)
    tree = json.loads(records.to_json(record)) | {"schema_version": 5}
    assert records.from_json(json.dumps(tree)).config == config


def test_runs_of_one_name_of_two_versions_are_both_kept(make, tmp_path):
    record = make(model=Model("mobilenet_v1", {}, 32, 10), run_id="mobilenet_v1-seed0")
    record = dataclasses.replace(record, config={"model": "mobilenet_v1"})
    records.write(record, records.record_path(tmp_path / "new", record.run_id))
    older = json.loads(records.to_json(record)) | {"schema_version": 5}
    path = records.record_path(tmp_path / "old", record.run_id)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(older))
    loaded, problems = records.load_all([tmp_path / "new", tmp_path / "old"])
    assert problems == []
    assert {each.run_id: each.label for each in loaded} == {
        "new/mobilenet_v1-seed0": "mobilenet_v1",
        "old/mobilenet_v1-seed0": "mobilenet_v1:epsilon=1e-05,padding=torch",
    }


def test_non_finite_numbers_survive_strict_json(make):
    failure = Failure(12, math.nan, -math.inf)
    record = make(status="diverged", failure=failure, config={"bounds": [math.inf, 1.0]})

    def refuse(name):
        raise AssertionError(f"{name} is not strict JSON")

    tree = json.loads(records.to_json(record), parse_constant=refuse)
    assert tree["failure"] == {"step": 12, "loss": "NaN", "gradient_norm": "-Infinity"}
    again = records.from_json(records.to_json(record))
    assert math.isnan(again.failure.loss)
    assert again.failure.gradient_norm == -math.inf
    assert again.config == {"bounds": [math.inf, 1.0]}


def test_a_string_field_that_says_nan_stays_a_string(make):
    assert records.from_json(records.to_json(make(error="NaN"))).error == "NaN"


def test_numpy_scalars_and_tuples_become_plain_values(make):
    record = make(config={"size": (32, 32), "rate": np.float32(0.5)}, seed=np.int64(3))
    again = records.from_json(records.to_json(record))
    assert again.config == {"size": [32, 32], "rate": 0.5}
    assert again.seed == 3


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("seed", ..., "the field 'seed' is missing."),
        ("model.name", ..., "the field 'model.name' is missing."),
        ("seed", "0", "the field 'seed' must be an integer, not '0'."),
        ("seed", True, "the field 'seed' must be an integer, not true."),
        ("seed", 1.5, "the field 'seed' must be an integer, not 1.5."),
        ("seed", None, "the field 'seed' must be an integer, not null."),
        ("budget.amount", [1], "the field 'budget.amount' must be a number, not [1]."),
        ("budget.amount", 10**400, "the field 'budget.amount' must be a number, not 1000"),
        ("metrics.test.top1", None, "the field 'metrics.test.top1' must be a number, not null."),
        ("metrics.test", [], "the field 'metrics.test' must be a mapping, not []."),
        ("git.dirty", 0, "the field 'git.dirty' must be true or false, not 0."),
        ("model", 3, "the field 'model' must be a mapping, not 3."),
        ("status", "done", "must be one of completed, diverged, out_of_memory, failed, crashed"),
        ("timings.seconds", 1, "'timings.seconds' is not a field of a record."),
        ("run_id", "../x", "the field 'run_id' must name a folder, not '../x'."),
        ("started_at", "2025-01-01T00:00:00", "'started_at' must be an ISO 8601 time in UTC"),
        ("finished_at", "yesterday", "'finished_at' must be an ISO 8601 time in UTC"),
        ("schema_version", ..., "'schema_version' must be an integer from 1, not null."),
        ("schema_version", 8, "record schema 8 and this version of the suite reads up to 7"),
        ("plugins", {}, "the field 'plugins' must be a list, not {}."),
        ("plugins", ["mine"], "the field 'plugins.0' must be a mapping, not 'mine'."),
        ("plugins", [{"package": "a"}], "the field 'plugins.0.module' is missing."),
    ],
)
def test_a_wrong_field_is_named(changed, path, value, sentence):
    with pytest.raises(RecordError) as caught:
        records.from_json(changed(path, value))
    assert sentence in str(caught.value)


def test_a_newer_schema_is_refused_before_its_unknown_fields(changed):
    tree = json.loads(changed("schema_version", 8)) | {"invented_later": 1}
    with pytest.raises(RecordError, match="record schema 8"):
        records.from_json(json.dumps(tree))


def test_fields_that_may_be_null_may_be_absent(changed):
    record = records.from_json(changed("throughput.infer_images_per_second", ...))
    assert record.throughput == Throughput(1400.0, None)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "x", '{"seed": NaN}', "9" * 5000])
def test_text_that_is_no_record_is_refused(text):
    with pytest.raises(RecordError):
        records.from_json(text)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"config": {"f": len}}, "config.f"),
        ({"config": {"a": {1: 2}}}, "config.a"),
        ({"seed": "0"}, "seed"),
    ],
)
def test_a_record_that_could_not_be_read_again_is_not_written(make, tmp_path, changes, name):
    with pytest.raises(RecordError, match=f"'{name}'"):
        records.write(make(**changes), tmp_path / "record.json")
    assert list(tmp_path.iterdir()) == []


def test_label_writes_options_sorted_by_name(make):
    assert Model("resnet18", {}, 32, 10).label == "resnet18"
    options = {"width": 0.5, "dropout": 0.2}
    assert Model("mobilenet_v1", options, 32, 10).label == "mobilenet_v1:dropout=0.2,width=0.5"
    assert make(model=Model("vgg", {"norm": True}, 32, 10)).label == "vgg:norm=true"


def test_read_names_the_file(tmp_path):
    path = tmp_path / "record.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RecordError, match=r"record\.json: it is not text\."):
        records.read(path)
    with pytest.raises(RecordError, match=r"missing\.json: it cannot be read"):
        records.read(tmp_path / "missing.json")


def test_a_failed_write_leaves_the_old_record_and_no_litter(make, tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    records.write(make(), path)

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        records.write(make(seed=1), path)
    assert records.read(path) == make()
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_half_a_record(make, tmp_path):
    path = tmp_path / "record.json"
    versions = [make(config={"filler": [seed] * 5000}, seed=seed) for seed in range(2)]
    records.write(versions[0], path)
    writer = threading.Thread(
        target=lambda: [records.write(versions[i % 2], path) for i in range(20)]
    )
    writer.start()
    while writer.is_alive():
        assert records.read(path) in versions
    writer.join()


def test_find_takes_a_run_and_a_folder_of_runs_and_each_file_once(make, tmp_path):
    first = records.record_path(tmp_path, "a")
    second = records.record_path(tmp_path, "b")
    for path in (first, second):
        records.write(make(path.parent.name), path)
    (tmp_path / "runs" / "under_way").mkdir()
    assert records.find([tmp_path]) == [first, second]
    assert records.find([second.parent]) == [second]
    assert records.find([first.parent, tmp_path, tmp_path]) == [first, second]


def test_find_names_a_missing_folder(tmp_path):
    with pytest.raises(RecordError, match=r"there is no folder '.*absent'"):
        records.find([tmp_path / "absent"])


def test_load_all_leaves_out_what_it_cannot_read_and_names_it(make, changed, tmp_path):
    records.write(make("good"), records.record_path(tmp_path, "good"))
    texts = {
        "damaged": "\x00\x01",
        "half": records.to_json(make("half"))[:200],
        "newer": changed("schema_version", 8),
    }
    for run_id, text in texts.items():
        path = records.record_path(tmp_path, run_id)
        path.parent.mkdir()
        path.write_text(text)
    loaded, problems = records.load_all([tmp_path])
    assert loaded == [make("good")]
    assert [problem.path.parent.name for problem in problems] == ["damaged", "half", "newer"]
    assert "only half of it" in problems[1].reason
    assert "update the suite" in str(problems[2])


def test_two_copies_of_a_record_are_one(make, tmp_path):
    for folder in ("a", "b"):
        records.write(make(), records.record_path(tmp_path / folder, "resnet18-0"))
    assert records.load_all([tmp_path / "a", tmp_path / "b"]) == ([make()], [])


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_of_two_records_of_a_run_the_later_is_kept_in_either_order(make, tmp_path, order):
    later = make(finished_at="2025-01-02T00:00:00Z", status="failed")
    records.write(later, records.record_path(tmp_path / "a", "resnet18-0"))
    records.write(make(), records.record_path(tmp_path / "b", "resnet18-0"))
    loaded, problems = records.load_all([tmp_path / name for name in order])
    assert loaded == [later]
    assert [problem.path for problem in problems] == [
        records.record_path(tmp_path / "b", "resnet18-0")
    ]
    assert "another record of run 'resnet18-0'" in problems[0].reason


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_runs_of_one_name_and_two_budgets_are_both_kept_and_told_apart(make, tmp_path, order):
    budget = dataclasses.replace(make().budget, amount=make().budget.amount * 2)
    records.write(make(), records.record_path(tmp_path / "a", "resnet18-0"))
    records.write(make(budget=budget), records.record_path(tmp_path / "b", "resnet18-0"))
    loaded, folders, problems = records.load_with_folders([tmp_path / name for name in order])
    assert [record.run_id for record in loaded] == ["a/resnet18-0", "b/resnet18-0"]
    assert [record.budget.amount for record in loaded] == [make().budget.amount, budget.amount]
    assert folders["b/resnet18-0"] == tmp_path / "b" / "runs" / "resnet18-0"
    assert not problems


def test_folders_of_one_name_are_told_apart_by_those_above(make, tmp_path):
    for index, place in enumerate(("x/suite", "y/suite", "other")):
        budget = dataclasses.replace(make().budget, amount=index + 1)
        records.write(make(budget=budget), records.record_path(tmp_path / place, "resnet18-0"))
    loaded, _ = records.load_all([tmp_path / place for place in ("x/suite", "y/suite", "other")])
    assert [record.run_id for record in loaded] == [
        "other/resnet18-0",
        "x/suite/resnet18-0",
        "y/suite/resnet18-0",
    ]
