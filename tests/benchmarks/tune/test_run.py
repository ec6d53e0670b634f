"""Equal tuning: the points, the judging, and that the test split stays shut."""

import dataclasses
import json
import math

import pytest
from ml_collections import ConfigDict

from benchmarks import tune
from benchmarks.config import derived, resolve
from benchmarks.errors import ConfigError
from benchmarks.launch.local import LocalLauncher
from benchmarks.runs.record import now, planned_record
from benchmarks.tune import Allowance
from benchmarks.tune.points import points
from results import records

_BOTH = ("tiny", "tiny:width=4")


@pytest.fixture
def config(config, monkeypatch):
    config.tuning = ConfigDict({"optimizer": {"learning_rate": (1e-4, 1e-1)}})
    config.budget.amount = 256.0
    return config


@pytest.fixture
def trained(monkeypatch):
    """Replaces training by a score that is best at a learning rate of 0.01, and lists the runs trained.

    Above 0.015 runs diverge. Far below, they have the lowest losses, which must not count before top-1.
    """
    done = []

    def train(self, runs, display, before_one_begins):
        for each in runs:
            done.append(each)
            records.write(_record(each), each.workdir / "record.json")
            yield each, records.read(each.workdir / "record.json")

    monkeypatch.setattr(LocalLauncher, "train", train)
    return done


def _record(run) -> records.RunRecord:
    rate = run.config.optimizer.learning_rate
    distance = abs(math.log10(rate / 0.01))
    near = distance < 1.3
    record = planned_record(run, now(), "diverged" if rate > 0.015 else "completed")
    return dataclasses.replace(
        record,
        metrics=records.Metrics({"top1": 0.9 if near else 0.5, "loss": distance if near else 0.0}),
        budget=dataclasses.replace(record.budget, examples_spent=run.budget.steps * 32),
    )


def test_points_are_spread_evenly_over_the_logarithm_of_the_range(config):
    rates = [point["optimizer.learning_rate"] for point in points(config, 7)]
    # Halton in base 2: the middle, the quarters, the eighths of the three decades.
    shares = [0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875]
    assert rates == pytest.approx([1e-4 * 1000**share for share in shares], rel=1e-3)
    assert points(config, 3) == points(config, 7)[:3]


def test_in_a_narrow_range_no_point_is_another(config):
    config.tuning.optimizer.learning_rate = (0.01, 0.01001)
    rates = [point["optimizer.learning_rate"] for point in points(config, 64)]
    assert len(set(rates)) == 64
    assert points(config, 7) == points(config, 64)[:7]


def test_several_fields_are_searched_together_and_stay_in_their_ranges(config):
    config.tuning.optimizer.weight_decay = (1e-5, 1e-3)
    many = points(config, 32)
    assert all(1e-4 <= point["optimizer.learning_rate"] <= 1e-1 for point in many)
    assert all(1e-5 <= point["optimizer.weight_decay"] <= 1e-3 for point in many)
    middle = math.sqrt(1e-5 * 1e-3)
    halves = {
        (point["optimizer.learning_rate"] < 10**-2.5, point["optimizer.weight_decay"] < middle)
        for point in many
    }
    assert len(halves) == 4


def test_every_model_tries_the_same_points_and_the_best_on_validation_is_kept(
    config, trained, tmp_path
):
    config.optimizer.model_learning_rates.tiny = 9.0
    tuned = tune.run(config, tmp_path, Allowance(4), model_specs=_BOTH)
    tried = {model: [] for model in _BOTH}
    for run in trained:
        tried[run.config.model].append(derived.learning_rate(run.config))
    expected = [point["optimizer.learning_rate"] for point in points(config, 4)]
    assert tried == {model: expected for model in _BOTH}
    assert json.loads((tmp_path / "tuned.json").read_text()) == json.loads(json.dumps(tuned))
    # Of 3.2e-3, 5.6e-4, 1.8e-2 and 2.4e-4 the third diverges, the fourth has the lowest loss at a lower top-1.
    assert list(tuned["models"]) == list(_BOTH)
    for entry in tuned["models"].values():
        assert (entry["best"], entry["trial"]) == ({"optimizer.learning_rate": 0.003162}, 0)
        assert (entry["trials"], entry["examples_spent"]) == (4, 4 * 256)


def test_trials_that_completed_are_kept_and_more_can_be_added(config, trained, tmp_path):
    tune.run(config, tmp_path, Allowance(2), model_specs=["tiny"])
    first = list(trained)
    tune.run(config, tmp_path, Allowance(2), model_specs=["tiny"])
    assert trained == first
    tuned = tune.run(config, tmp_path, Allowance(3), model_specs=["tiny"])
    assert [run.workdir.name for run in trained] == ["0", "1", "2"]
    assert tuned["models"]["tiny"]["trials"] == 3


@pytest.mark.parametrize("trials", [1, 2, 3, 7, 8, 16])
def test_halving_spends_what_trying_all_in_full_does(trials):
    for halving in (False, True):
        plan = Allowance(trials, halving=halving).rungs()
        assert sum(rung.trials * rung.share for rung in plan) == pytest.approx(trials)
        assert plan[0].trials == trials


def test_halving_carries_the_better_half_on(config, trained, tmp_path):
    config.budget.amount = 1536.0
    tune.run(config, tmp_path, Allowance(8, halving=True), model_specs=["tiny"])
    rungs = {}
    for run in trained:
        index, rung = run.workdir.name.split("-rung")
        rungs.setdefault((int(rung), run.config.budget.amount), []).append(int(index))
    assert list(rungs) == [(0, 512.0), (1, 1024.0), (2, 2048.0)]
    every, half, last = rungs.values()
    assert (sorted(every), len(half), len(last)) == (list(range(8)), 4, 2)
    # By rate: 7.5e-3, 3.2e-3, 1.3e-3 and 5.6e-4; 1.8e-2 and 4.2e-2 diverged.
    assert (half, last) == ([4, 0, 5, 1], [4, 0])
    assert sum(run.budget.steps * 32 for run in trained) == 8 * 1536


def test_a_trial_trains_in_a_process_of_its_own_and_never_opens_the_test_split(config, tmp_path):
    tuned = tune.run(config, tmp_path, Allowance(2, trial_fraction=0.5), model_specs=["tiny"])
    for trial in ("0", "1"):
        record = records.read(tmp_path / "trials" / "tiny" / trial / "record.json")
        assert record.status == "completed", record.error
        assert (record.dataset.test_split, dict(record.metrics.test)) == ("", {})
        assert record.metrics.validation["examples"] == 180
        assert "test" not in record.unreadable_examples
        assert record.budget.amount == 128.0
    config.tuned = str(tmp_path / "tuned.json")
    run = resolve.for_run(config, "tiny", 3)
    assert run.optimizer.learning_rate == tuned["models"]["tiny"]["best"]["optimizer.learning_rate"]
    assert (run.tuning_trials, run.test_split, run.budget.amount) == (2, "test", 256.0)


def test_earlier_tuned_values_are_those_of_the_networks_that_they_were_found_for(config, tmp_path):
    entry = {"best": {"optimizer.learning_rate": 0.02}, "trials": 3}
    content = {"dataset": "digits", "recipe": "common", "models": {"mobilenet_v1": entry}}
    path = tmp_path / "tuned.json"
    path.write_text(json.dumps(content))
    config.tuned = str(path)
    run = resolve.for_run(config, "mobilenet_v1:padding=torch,epsilon=1e-05", 0)
    assert run.optimizer.learning_rate == 0.02
    with pytest.raises(ConfigError, match="has nothing for mobilenet_v1, only for mobilenet_v1:ep"):
        resolve.for_run(config, "mobilenet_v1", 0)
    path.write_text(json.dumps(content | {"schema_version": 6}))
    assert resolve.for_run(config, "mobilenet_v1", 0).optimizer.learning_rate == 0.02


def test_tuned_values_go_with_a_dataset_wherever_a_machine_has_it(config, tmp_path):
    config.tuned = str(tmp_path / "tuned.json")
    entry = {"best": {"optimizer.learning_rate": 0.002}, "trials": 1}
    content = {"dataset": "tiny_imagenet_100", "recipe": "common", "models": {"tiny": entry}}
    (tmp_path / "tuned.json").write_text(json.dumps(content))
    config.dataset = "tiny_imagenet_100:/data/tiny-imagenet-200.zip"
    assert resolve.for_run(config, "tiny", 0).optimizer.learning_rate == 0.002
    config.dataset = "tiny_imagenet:/data/tiny-imagenet-200.zip"
    with pytest.raises(
        ConfigError, match=r"config\.dataset=tiny_imagenet_100, not tiny_imagenet\."
    ):
        resolve.for_run(config, "tiny", 0)


def test_tuned_values_of_something_else_are_refused(config, trained, tmp_path):
    tune.run(config, tmp_path, Allowance(1), model_specs=["tiny"])
    config.tuned = str(tmp_path / "tuned.json")
    with pytest.raises(ConfigError, match="has nothing for tiny:width=4, only for tiny"):
        resolve.for_run(config, "tiny:width=4", 0)
    config.dataset = "cifar10"
    with pytest.raises(ConfigError, match=r"tuned with config\.dataset=digits, not cifar10"):
        resolve.for_run(config, "tiny", 0)
    config.tuned = str(tmp_path / "tune.json")
    with pytest.raises(ConfigError, match="holds no tuned values"):
        resolve.for_run(config, "tiny", 0)
    config.tuned = str(tmp_path / "nowhere.json")
    with pytest.raises(ConfigError, match="there are no tuned values at"):
        resolve.for_run(config, "tiny", 0)


def test_a_model_of_which_no_trial_completed_has_no_values(config, trained, tmp_path):
    config.tuning.optimizer.learning_rate = (0.02, 0.1)
    assert tune.run(config, tmp_path, Allowance(2), model_specs=["tiny"])["models"] == {}


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"optimizer": {"learning_rates": (1e-4, 1e-1)}}, "learning_rates, which is not a number"),
        ({"optimizer": {"learning_rate": (0.0, 1e-1)}}, "learning_rate is two numbers above 0"),
        ({"label_smoothing": (0.2, 0.1)}, "the lower one first"),
        ({}, "names no field to search"),
    ],
)
def test_a_space_that_cannot_be_searched_is_one_sentence(config, tmp_path, space, says):
    config.tuning = ConfigDict(space)
    with pytest.raises(ConfigError, match=says):
        tune.run(config, tmp_path / "tuning", Allowance(2), model_specs=["tiny"])
    assert not (tmp_path / "tuning").exists()


def test_the_command_says_a_mistake_in_one_sentence(command_here, tmp_path):
    given = ("benchmarks.tune", "--config=benchmarks/configs/digits.py", "--models=tiny")
    for arguments, says in (
        (["--trials=2", "--config.validation_split=test"], "that is not the test split"),
        (["--trials=0"], "trials"),
        (["--trials=2", "--trial_fraction=0"], "--trial_fraction is a number above 0"),
    ):
        done = command_here(*given, *arguments, f"--workdir={tmp_path / 'tuning'}")
        assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1), done.stderr
        assert says in done.stderr
    assert not (tmp_path / "tuning").exists()
