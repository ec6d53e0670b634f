"""Every field of a configuration must agree in a ranking, but for those that are declared to differ."""

import dataclasses
import json
from collections.abc import Mapping

import pytest
from ml_collections import ConfigDict

from benchmarks.config import fields, stored
from results import compare, records
from results.rankings import rows
from results.records import folders, settings
from results.tables import document, headings

DEFAULT = fields.default_config()
CONFIG = stored.to_plain(DEFAULT)
CHANGES = {
    "ema_decay": 0.999,
    "dtype": "bfloat16",
    "augmentation.mixup": 0.2,
    "augmentation.changes": ["flip"],
    "accumulation": 4,
    "batch_norm_scope": "device",
    "label_smoothing": 0.1,
    "image_size": "published",
    "optimizer.weight_decay": 0.1,
    "validation_split": "test",
    "positive_weight": "balanced",
    "eval_crops": 10,
    "progressive_sizes": [16],
    "a_field_of_tomorrow": 1,
    "a.group.of.tomorrow": True,
}


def changed(path, value, config=CONFIG):
    first, _, rest = path.partition(".")
    inner = changed(rest, value, config.get(first, {})) if rest else value
    return dict(config) | {first: inner}


def flat(config, prefix=""):
    for key, value in config.items():
        if isinstance(value, Mapping | ConfigDict) and len(value):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def models_by_table(run_records):
    return [[row.model for row in table.rows] for table in rows.summarize(run_records)]


@pytest.mark.parametrize("path", CHANGES)
def test_runs_that_differ_in_any_setting_are_ranked_apart_and_headings_say_so(run, path):
    other = changed(path, CHANGES[path])
    runs = [run("a", 0, 0.9, config=CONFIG), run("b", 0, 0.8, config=other)]
    tables = rows.summarize(runs)
    assert [[row.model for row in table.rows] for table in tables] == [["a"], ["b"]]
    titles = [headings.title(table.group, table.apart) for table in tables]
    assert all(path in title for title in titles)
    assert titles[0] != titles[1]
    assert (
        f"apart from other rankings of this dataset: {path} " in headings.description(tables[1])[2]
    )


@pytest.mark.parametrize("path", CHANGES)
def test_runs_of_one_model_with_other_settings_are_not_its_seeds(run, path):
    other = changed(path, CHANGES[path])
    tables = rows.summarize([run("a", 0, 0.9, config=CONFIG), run("a", 1, 0.1, config=other)])
    assert [row.seeds for table in tables for row in table.rows] == [1, 1]


@pytest.mark.parametrize("path", sorted(settings.MAY_DIFFER))
def test_what_may_differ_does(run, path):
    other = CONFIG | {path: "another"}
    assert models_by_table([run("a", 0, 0.9, config=CONFIG), run("b", 0, 0.8, config=other)]) == [
        ["a", "b"]
    ]


def test_every_field_is_declared_with_its_default_or_may_differ():
    declared = settings.DEFAULTS.keys() | settings.MAY_DIFFER | settings.ELSEWHERE
    declared |= set(settings.OF_A_MODEL) | {"tuning"}
    defaults = {path: value for path, value in flat(DEFAULT) if not path.startswith("suite.")}
    assert defaults.keys() <= declared, "add them to results/records/settings.py"
    for path, value in settings.DEFAULTS.items():
        assert defaults[path] == value, path


def test_a_record_from_before_a_field_was_there_has_its_default(run):
    for path in settings.DEFAULTS:
        first, _, rest = path.partition(".")
        older = {key: value for key, value in CONFIG.items() if key != first or rest}
        if rest:
            older[first] = {key: each for key, each in CONFIG[first].items() if key != rest}
        runs = [run("a", 0, 0.9, config=CONFIG), run("b", 0, 0.8, config=older)]
        assert models_by_table(runs) == [["a", "b"]], path


@pytest.mark.parametrize(
    "older",
    [
        {"augmentation": "none"},
        {"augmentation": CONFIG["augmentation"] | {"crop": "centre"}},
        {"tuning": {"optimizer": {"learning_rate": [1e-4, 1e-1]}}},  # not tuned, whatever the range
        {"optimizer": CONFIG["optimizer"] | {"lion": {"beta": 0.9}}},  # of a plug-in, not used
        {"crop_fraction": 1},
    ],
    ids=str,
)
def test_what_means_the_same_shares_a_ranking(run, older):
    runs = [run("a", 0, 0.9, config=CONFIG), run("b", 0, 0.8, config=CONFIG | older)]
    assert models_by_table(runs) == [["a", "b"]]


def test_more_parts_than_asked_for_are_another_ranking_unless_the_run_failed(run):
    plain = run("a", 0, 0.9, config=CONFIG, accumulation=1)
    smaller = run("b", 0, 0.8, config=CONFIG, accumulation=8)
    assert models_by_table([plain, smaller]) == [["a"], ["b"]]
    failed = run("b", 0, config=CONFIG, status="out_of_memory", metrics=records.Metrics())
    assert models_by_table([plain, failed]) == [["a", "b"]]


def test_models_have_their_own_learning_rates_and_one_model_has_one(run):
    rates = {
        name: changed("optimizer.model_learning_rates", {"a": rate})
        for name, rate in (("a", 0.1), ("b", 0.5), ("again", 0.2))
    }
    runs = [run("a", 0, 0.9, config=rates["a"]), run("b", 0, 0.8, config=rates["b"])]
    assert models_by_table(runs) == [["a", "b"]]
    again = run("a", 1, 0.85, config=rates["again"])
    assert models_by_table([*runs, again]) == [
        ["a (optimizer.learning_rate=0.1)", "a (optimizer.learning_rate=0.2)", "b"]
    ]


def test_tuned_fields_may_differ_between_models_and_never_within_one(run):
    tuned = CONFIG | {"tuning_trials": 8, "tuning": {"optimizer": {"weight_decay": [0.001, 0.1]}}}
    first, second = (changed("optimizer.weight_decay", value, tuned) for value in (0.02, 0.03))
    assert models_by_table([run("a", 0, 0.9, config=first), run("b", 0, 0.8, config=second)]) == [
        ["a", "b"]
    ]
    assert models_by_table([run("a", 0, 0.9, config=first), run("a", 1, 0.8, config=second)]) == [
        ["a (optimizer.weight_decay=0.02)", "a (optimizer.weight_decay=0.03)"]
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [("ema_decay", 0.99), ("augmentation.crop", "random_side"), ("optimizer.name", "rmsprop")],
)
def test_by_the_papers_recipe_each_model_has_its_own_settings(run, path, value):
    runs = [
        run("a", 0, 0.9, recipe="paper", config=CONFIG),
        run("b", 0, 0.8, recipe="paper", config=changed(path, value)),
    ]
    assert models_by_table(runs) == [["a", "b"]]
    same = dataclasses.replace(runs[1], model=runs[0].model)
    assert all(
        path in model for (models,) in [models_by_table([runs[0], same])] for model in models
    )


@pytest.mark.parametrize(("path", "value"), [("ema_decay", 0.99), ("optimizer.learning_rate", 0.5)])
def test_no_record_replaces_another_of_other_settings(run, tmp_path, path, value):
    for folder, config in (("plain", CONFIG), ("other", changed(path, value))):
        record = run("a", 0, 0.9, config=config)
        records.write(record, records.record_path(tmp_path / folder, record.run_id))
    loaded, problems = folders.load_all([tmp_path / "plain", tmp_path / "other"])
    assert sorted(each.run_id for each in loaded) == ["other/a-0", "plain/a-0"]
    assert problems == []


def documented(run_records):
    return json.loads(document.to_json(rows.summarize(run_records)))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("ema_decay", 0.99, "ema_decay differs: 0 in A, 0.99 in B."),
        ("a_new_field", "x", "a_new_field differs: not set in A, x in B."),
        (
            "optimizer.learning_rate",
            0.5,
            "a (32 px): optimizer.learning_rate differs: 0.001 in A, 0.5 in B.",
        ),
    ],
)
def test_comparing_says_which_settings_differ(run, path, value, said):
    first = documented([run("a", 0, 0.9, config=CONFIG)])
    second = documented([run("a", 0, 0.8, config=changed(path, value))])
    (comparison,), _ = compare.compare(first, second)
    assert comparison.warnings == (said,)
    (alike,), _ = compare.compare(first, first)
    assert alike.warnings == ()


def test_a_leaderboard_of_an_earlier_version_does_not_pass_for_matched(run):
    first = documented([run("a", 0, 0.9, config=CONFIG)])
    older = json.loads(json.dumps(first))
    del older["rankings"][0]["group"]["settings"]
    (comparison,), _ = compare.compare(first, older)
    (warning,) = comparison.warnings
    assert "B is a leaderboard of an earlier version" in warning
