"""Plans: what is worked out of a compiled step, what is kept, and how it is printed."""

import contextlib
import csv
import dataclasses
import json
import types

import pytest

import models
from benchmarks.config import default_config
from benchmarks.configs import imagenet
from benchmarks.errors import ConfigError
from benchmarks.machine.child import ChildError
from benchmarks.plan import compiler as plan_compiler
from benchmarks.plan import cost, data, figures, largest, programs, run, targets
from benchmarks.plan.programs import Compiler, Job, Program
from input_pipeline.errors import DataError

_TEXT = """HloModule jit_step

ENTRY %main.5 (a.1: bf16[1000,1000]) -> bf16[1000,1000] {
  %a.1 = bf16[1000,1000]{1,0} parameter(0)
  ROOT %all-reduce.1 = bf16[1000,1000]{1,0} all-reduce(%a.1), channel_id=1, to_apply=%add
}
"""
_PROGRAM = Program(
    problem="",
    compile_seconds=3.0,
    argument_bytes=30 * 10**9,
    output_bytes=10**9,
    temporary_bytes=20 * 10**9,
    aliased_bytes=10**9,
    text=_TEXT,
)


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Steps are compiled in the tests' own process; yields the requests."""
    requests = []

    def ask(request):
        requests.append(request)
        return plan_compiler.compile_step(request)

    @contextlib.contextmanager
    def process(self, job):
        yield types.SimpleNamespace(ask=ask)

    monkeypatch.setattr(Compiler, "_process", process)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return requests


def _jobs(target="h100:8", spec="mobilenet_v1:width=0.25", **fields):
    config = default_config()
    config.plugins, config.suite.models = ("tiny_model",), (spec,)
    config.image_size, config.dtype = "32", "bfloat16"
    config.batch_size = config.eval_batch_size = 64
    for name, value in fields.items():
        config[name] = value
    target = targets.parse(target)
    return run.jobs(run.set_up(config, config.suite.models, 10, target), target)


def test_a_step_takes_the_longer_of_its_arithmetic_and_its_bytes():
    training, evaluation = _jobs()
    row = figures.work_out(training, _PROGRAM)
    macs = models.count_macs(models.create_abstract("mobilenet_v1:width=0.25", 10), 32)
    assert row.flops == pytest.approx(3 * 2 * macs * 64, rel=0.05)
    assert row.flops_bound_ms == pytest.approx(row.flops / 8 / 989.5e12 * 1e3)
    assert row.bytes_moved == 2 * 2 * 10**6
    assert row.bytes_bound_ms == pytest.approx(4e6 / 3.35e12 * 1e3)
    assert row.bound_ms == max(row.flops_bound_ms, row.bytes_bound_ms)
    assert row.images_per_second == pytest.approx(64 / row.bound_ms * 1e3)
    assert row.collectives["all-reduce"].bytes == row.collective_bytes == 2 * 10**6
    assert figures.work_out(evaluation, _PROGRAM).flops == 2 * macs * 64


def test_a_step_needs_its_arguments_temporaries_and_results_that_take_no_arguments_place():
    training, _ = _jobs()
    row = figures.work_out(training, _PROGRAM)
    assert (row.status, row.memory_bytes, row.usable_bytes) == ("fits", 50 * 10**9, 60 * 10**9)
    larger = dataclasses.replace(_PROGRAM, temporary_bytes=40 * 10**9)
    assert figures.work_out(training, larger).status == "too large"


@pytest.mark.parametrize(
    "told",
    [
        "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.50G of 15.75G hbm. Exceeded hbm capacity.",
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries (20.50G) exceeds "
        "available HBM (15.75G).",
    ],
)
def test_a_tpus_compiler_says_how_much_too_large_a_step_is(told):
    training, _ = _jobs("v5e:2x4")
    row = figures.work_out(training, Program(problem=told, compile_seconds=1.0))
    assert row.status == "too large"
    assert (row.memory_bytes, row.usable_bytes) == (20.5 * 2**30, 15.75 * 2**30)


def test_without_a_peak_for_the_dtype_the_bound_is_that_of_the_bytes():
    training, _ = _jobs("v5e:2x4", dtype="float32")
    row = figures.work_out(training, _PROGRAM)
    assert row.flops_bound_ms is None
    assert row.bound_ms == pytest.approx(4e6 / 819e9 * 1e3)


def test_a_batch_that_the_devices_cannot_share_is_a_mistake():
    with pytest.raises(ConfigError, match="divided among the 8 devices of h100:8, which 60 cannot"):
        _jobs(batch_size=60)


def test_a_program_is_compiled_once_and_again_for_another_batch(here, tmp_path):
    training, evaluation = _jobs("cpu", "tiny")
    with Compiler() as compiler:
        first = compiler.compile(training)
        assert first.argument_bytes > first.aliased_bytes > 0
        assert compiler.compile(training) == first
        compiler.compile(evaluation)
    assert [each["side"] for each in here] == [32, None]
    other, same_evaluation = _jobs("cpu", "tiny", batch_size=32)
    assert programs.key(other) != programs.key(training)
    assert programs.key(same_evaluation) == programs.key(evaluation)
    assert programs.key(_jobs("cpu", "tiny", seed=5)[0]) == programs.key(training)


def test_a_damaged_file_is_compiled_again(here, tmp_path):
    training, _ = _jobs("cpu", "tiny")
    with Compiler(tmp_path / "kept") as compiler:
        first = compiler.compile(training)
        (text,) = (tmp_path / "kept").glob("*.txt.gz")
        text.write_bytes(text.read_bytes()[:100])
        assert compiler.compile(training).text == first.text
    assert len(here) == 2


def test_the_command_prints_and_writes_what_each_step_needs_and_keeps_it(
    here, command_here, tmp_path
):
    arguments = (
        "benchmarks.plan",
        "--config=benchmarks/configs/digits.py",
        "--models=tiny",
        "--target=cpu",
        "--price=2",
        f"--out={tmp_path / 'plan'}",
    )
    ended = command_here(*arguments)
    assert ended.returncode == 0, ended.stderr
    assert "training" in ended.stdout
    rows = list(csv.DictReader((tmp_path / "plan.csv").open()))
    assert [(row["model"], row["step"], row["status"]) for row in rows] == [
        ("tiny", "training", "fits"),
        ("tiny", "evaluation", "fits"),
    ]
    document = json.loads((tmp_path / "plan.json").read_text())
    assert document["versions"]["jax"]
    assert [each["bytes_moved"] for each in document["steps"]] == [
        float(row["bytes_moved"]) for row in rows
    ]
    assert document["costs"][0]["hours"] is None  # a CPU has no data sheet here
    again = command_here(*arguments)
    assert "compiled before" in again.stderr
    assert len(here) == 2


def test_a_model_that_does_not_compile_is_told_and_the_others_go_on(here, command_here):
    ended = command_here(
        *("benchmarks.plan", "--config=benchmarks/configs/digits.py", "--target=cpu"),
        "--models=tiny:fault=raises,tiny",
    )
    assert ended.returncode == 1
    assert "tiny:fault=raises, training at 32, does not compile:" in ended.stdout
    assert "fits" in ended.stdout


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--target=v100"], "--target is v5e:4x8"),
        (["--target=cpu", "--price=0"], "--price is a number of dollars above 0"),
        (["--target=cpu", "--efficiency=2"], "--efficiency is a number above 0"),
    ],
)
def test_a_mistake_is_one_sentence(flags, told, command_here):
    ended = command_here("benchmarks.plan", "--config=benchmarks/configs/digits.py", *flags)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_process_that_dies_is_a_row(monkeypatch, tmp_path):
    @contextlib.contextmanager
    def process(self, job):
        raise ChildError("the process ended without an answer, killed.")
        yield

    monkeypatch.setattr(Compiler, "_process", process)
    told = []
    with Compiler(tmp_path) as compiler:
        rows = run.compile_all(_jobs(), compiler, 2, told.append)
    assert [row.status for row in rows] == ["failed", "failed"]
    assert "killed" in rows[0].problem
    assert len(told) == 2


@pytest.mark.parametrize("limit", [1, 7, 64, 100, 5000])
@pytest.mark.parametrize("first", [1, 32, 256])
def test_bisection_ends_within_a_sixteenth_below_the_limit(limit, first):
    asked = []

    def fits(size):
        asked.append(size)
        return size <= limit

    best = largest.bisect(fits, first, 1 / 16, 2**16)
    assert best <= limit < best + max(1, best / 16) + 1
    assert len(asked) == len(set(asked)) <= 20
    assert largest.bisect(lambda size: False, first, 1 / 16, 2**16) is None


def test_the_largest_batch_is_found_by_what_compiled_steps_need(monkeypatch):
    training, _ = _jobs("h100:8")

    class Linear:
        """Needs 1 GB, and 0.1 GB for each example of a device."""

        def compile(self, job: Job) -> Program:
            examples = job.batch_size // 8
            return dataclasses.replace(
                _PROGRAM, argument_bytes=10**9, temporary_bytes=10**8 * examples
            )

    best = largest.find(training, Linear())
    assert 590 * 15 / 16 < best.batch_size / 8 <= 590
    assert best.memory_bytes == 10**9 + 10**8 * best.batch_size // 8


def test_a_suite_costs_its_steps_and_one_evaluation_for_each_seed():
    config = imagenet.get_config()
    config.suite.models = ("alexnet",)
    target = targets.parse("h100:8")
    setups = run.set_up(config, config.suite.models, 1000, target)
    rows = [figures.work_out(job, _PROGRAM) for job in run.jobs(setups, target)]
    rows = [dataclasses.replace(row, bound_ms=100.0, images_per_second=1000.0) for row in rows]
    sizes = data.Sizes(num_logits=1000, train_examples=1_271_167, evaluated_examples=60_000)
    (told,) = cost.of_suite(setups, rows, sizes, target, 3, cost.Rate(2.0, 0.5))
    assert told.steps == 90 * 1_271_167 // 256
    hours = 3 * (told.steps * 0.1 + 60) / 3600
    assert told.hours == pytest.approx(hours)
    assert told.dollars == pytest.approx(hours * 8 * 2)
    assert told.likely_hours == pytest.approx(2 * hours)
    assert told.likely_dollars == pytest.approx(2 * told.dollars)


def test_imagenet_is_planned_for_before_it_is_prepared(tmp_path):
    config = imagenet.get_config()
    config.data_dir = str(tmp_path)
    assert data.sizes(config) == data.Sizes(1000, 1_271_167, 60_000)
    config.dataset = "food101"
    with pytest.raises(DataError):
        data.sizes(config)
