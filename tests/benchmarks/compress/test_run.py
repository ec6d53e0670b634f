"""A run made smaller, stage by stage."""

import numpy as np
import pytest

from benchmarks.compress import compress, kernels
from benchmarks.compress import run as compress_run
from benchmarks.errors import ConfigError
from benchmarks.evaluate.run import evaluate_run
from benchmarks.train import train_and_evaluate
from results import records
from results.rankings import rows
from results.rankings.examples import PredictedExamples
from results.records import evaluations


@pytest.fixture
def seen(monkeypatch):
    """Keeps the kernels of each model that is evaluated."""
    kept = []
    evaluate = compress_run.evaluate_model

    def evaluate_and_keep(trained, *arguments):
        kernel_of = []
        kernels.change(trained.params, lambda kernel: kernel_of.append(kernel) or kernel)
        kept.append(kernel_of)
        return evaluate(trained, *arguments)

    monkeypatch.setattr(compress_run, "evaluate_model", evaluate_and_keep)
    return kept


def test_every_stage_is_evaluated_and_kept_beside_the_record(copied_run, seen):
    stages = list(compress(copied_run, sparsity=0.5, bits=(8, 2), rate_factor=1.0))
    names = ["", "pruned-0.5", "pruned-0.5-retrained"]
    names += ["pruned-0.5-retrained-8bit", "pruned-0.5-retrained-2bit"]
    assert [stage.name for stage in stages] == names
    assert stages[0].score == evaluate_run(copied_run).metrics["top1"]
    record = records.read(records.path_in(copied_run))
    kept, problems = evaluations.load_all([copied_run], [record])
    assert sorted(each.name for each in kept) == sorted(names[1:])
    assert not problems
    predicted = PredictedExamples({record.run_id: copied_run})
    resampled = predicted.of_evaluations([(record, each) for each in kept])
    assert not predicted.problems
    assert [each.correct.mean() for each in resampled] == [each.metrics["top1"] for each in kept]
    (table,) = rows.summarize([record], evaluations=kept)
    assert {each.name for _, each in table.rows[0].evaluations} == set(names[1:])
    assert {each.name: each.metrics["top1"] for each in kept} == {
        stage.name: stage.score for stage in stages[1:]
    }
    assert stages[2].compression.retrained_examples == 384
    sizes = [stage.compression.bytes for stage in stages]
    assert sizes == sorted(sizes, reverse=True)
    assert {stage.compression.dense_bytes for stage in stages} == {sizes[0]}
    _, pruned, retrained, _, few = seen
    for before, after, shared in zip(pruned, retrained, few, strict=True):
        assert np.count_nonzero(before == 0) == round(0.5 * before.size)
        assert np.array_equal(before == 0, after == 0)
        assert not np.array_equal(before, after)
        assert len(np.unique(shared)) <= 4


def test_it_can_be_done_again_with_the_same_result(copied_run, seen):
    first, second = (list(compress(copied_run, bits=(4,))) for _ in range(2))
    assert [stage.score for stage in first] == [stage.score for stage in second]
    for one, other in zip(seen[: len(first)], seen[len(first) :], strict=True):
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_without_sparsity_nothing_is_pruned_or_retrained(copied_run):
    stages = list(compress(copied_run, sparsity=0.0, bits=(6,)))
    assert [stage.name for stage in stages] == ["", "6bit"]
    assert stages[1].compression.index_bits == 0


def test_averages_stay_pruned_too(make_config, tmp_path, seen):
    config = make_config()
    config.ema_decay = 0.9
    train_and_evaluate(config, tmp_path / "run")
    list(compress(tmp_path / "run", sparsity=0.5, bits=()))
    _, pruned, retrained = seen
    assert all(np.array_equal(a == 0, b == 0) for a, b in zip(pruned, retrained, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 1.0}, "--sparsity is from 0 to below 1, not 1.0"),
        ({"sparsity": float("nan")}, "--sparsity is from 0 to below 1, not nan"),
        ({"bits": (8, 1)}, "--bits are from 2 to 16, not 1"),
        ({"sparsity": 0.0, "bits": ()}, "without either nothing gets smaller"),
        ({"retrain_examples": 31}, "31 examples are less than one batch of 32"),
        ({"rate_factor": 0.0}, "--rate_factor is above 0, not 0.0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(copied_run, options, message):
    with pytest.raises(ConfigError, match=message):
        next(compress(copied_run, **options))
    assert not (copied_run / "evaluations").exists()


def test_the_command_prints_a_row_for_each_stage(command_here, copied_run):
    done = command_here("benchmarks.compress", f"--workdir={copied_run}", "--bits=4")
    assert done.returncode == 0, done.stderr
    for name in (
        "as trained",
        "pruned-0.67",
        "pruned-0.67-retrained",
        "pruned-0.67-retrained-4bit",
    ):
        assert name in done.stdout
    done = command_here("benchmarks.compress", f"--workdir={copied_run}", "--bits=few")
    assert (done.returncode, done.stderr) == (2, "error: --bits are whole numbers, not few.\n")
