"""What follows from a configuration is worked out once, and a run knows it."""

import pytest

from benchmarks import tasks
from benchmarks.config import resolve
from benchmarks.config.setup import set_up
from benchmarks.runs import plan, validation


def test_a_setup_knows_sizes_task_and_normalization(config):
    config.model = "squeezenet1_1"
    config.progressive_sizes = (24, 28)
    config.eval_image_size = "48"
    config.optimizer.model_learning_rates.squeezenet1_1 = 0.25
    setup = set_up(config, 10)
    assert (setup.model, setup.num_logits, setup.task) == ("squeezenet1_1", 10, tasks.SINGLE_LABEL)
    assert setup.train_sizes == (24, 28, 32)
    assert (setup.image_size, setup.eval_image_size) == (32, 48)
    assert setup.learning_rate == 0.25
    assert setup.mean == (0.485, 0.456, 0.406)
    config.mean, config.std = (0.1, 0.2, 0.3), (1.0, 1.0, 1.0)
    assert set_up(config, 10).mean == (0.1, 0.2, 0.3)


def test_a_run_knows_its_steps_examples_and_cost(config, tmp_path):
    run = plan.prepare(config, tmp_path)
    assert (run.budget.num_steps, run.budget.num_examples) == (12, 384)
    assert run.setup.num_logits == 10
    assert run.title == "tiny seed 0"
    # A forward pass of training, three times over.
    assert run.train_macs == 3 * (8 * 8 * 27 * 8 + 8 * 8 * 8 * 10)
    assert list(tmp_path.iterdir()) == []


def test_every_run_of_a_plan_is_checked_once_and_before_the_data(config, tmp_path, monkeypatch):
    checked, loaded = [], []
    validate, load = validation.validate, tasks.load_dataset
    monkeypatch.setattr(
        validation, "validate", lambda each: (checked.append(each.seed), validate(each))[1]
    )
    monkeypatch.setattr(
        plan.tasks, "load_dataset", lambda each: (loaded.append(list(checked)), load(each))[1]
    )
    requests = []
    for seed in range(3):
        each = config.copy_and_resolve_references()
        each.seed = seed
        requests.append((each, tmp_path / str(seed)))
    runs = plan.prepare_all(requests)
    assert checked == [0, 1, 2]
    assert loaded == [[0, 1, 2]]
    assert [run.config.seed for run in runs] == [0, 1, 2]
    assert all(run.dataset is runs[0].dataset for run in runs)


@pytest.mark.parametrize("seeds", [(0,), (1, 0)])
def test_a_suite_begins_with_its_cheapest_model(config, tmp_path, seeds):
    from benchmarks.suite import plan as plan_suite

    models = ("tiny:width=16", "tiny:fault=raises", "tiny:width=4")
    runs = plan_suite(config, tmp_path, models, seeds)
    assert [(run.config.seed, run.setup.model) for run in runs] == [
        (seed, model)
        for seed in seeds
        for model in ("tiny:width=4", "tiny:fault=raises", "tiny:width=16")
    ]


def test_the_runs_of_a_model_differ_in_their_seeds_and_share_the_rest(config):
    specs = ("tiny", "tiny:width=4")
    config.lock()
    many = resolve.for_runs(config, specs, (3, 5))
    alone = [resolve.for_run(config, spec, seed) for seed in (3, 5) for spec in specs]
    assert [each.to_dict() for each in many] == [each.to_dict() for each in alone]
    assert [each.is_locked for each in many] == [each.is_locked for each in alone]
    assert many[0].optimizer is many[2].optimizer  # ten thousand runs are to be held
    assert many[0].optimizer is not many[1].optimizer
