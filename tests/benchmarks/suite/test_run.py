"""The suite, each run in a process of its own, as a user starts it."""

import csv
import json
import shutil
import subprocess
import sys

import pytest

from benchmarks.config import stored
from benchmarks.errors import ConfigError
from benchmarks.runs import claim
from benchmarks.suite import dry_run
from benchmarks.suite.run import plan, run
from input_pipeline import datasets
from results import records

_DIGITS = "--config=benchmarks/configs/digits.py"
_SHORT = "--config.budget.amount=384"


def _rows(directory):
    with (directory / "leaderboard.csv").open() as file:
        return {row["model"]: row for row in csv.DictReader(file)}


def test_failed_models_become_rows_and_the_others_go_on(command_here, tmp_path, monkeypatch):
    models = "tiny:fault=raises,tiny,tiny:fault=killed,tiny:fault=nan"
    workdir = tmp_path / "suite"
    done = command_here(
        "benchmarks.suite", _DIGITS, f"--workdir={workdir}", f"--models={models}", _SHORT
    )
    assert done.returncode == 1, done.stderr
    rows = _rows(workdir)
    assert {model: row["status"] for model, row in rows.items()} == {
        "tiny": "completed",
        "tiny:fault=raises": "failed",
        "tiny:fault=killed": "crashed",
        "tiny:fault=nan": "diverged at step 1",
    }
    assert {row["rank"] for row in rows.values()} == {"1", ""}
    assert "this model always raises" in (workdir / "leaderboard.md").read_text()
    assert "by signal 9" in (workdir / "leaderboard.md").read_text()
    assert "tiny:fault=nan" in done.stdout


def test_the_same_command_keeps_what_is_done_and_tables_come_from_records_alone(
    command, command_here, tmp_path
):
    workdir, again = tmp_path / "suite", tmp_path / "again"
    arguments = ("benchmarks.suite", _DIGITS, f"--workdir={workdir}", "--models=tiny", _SHORT)
    arguments += ("--deterministic",)
    assert command(*arguments, "--seeds=0,1").returncode == 0
    first = (workdir / "leaderboard.csv").read_bytes()
    stamps = {path: path.stat().st_mtime_ns for path in workdir.glob("runs/*/record.json")}
    assert len(stamps) == 2
    assert all(records.read(path).config["deterministic"] for path in stamps)
    assert command_here(*arguments, "--seeds=0,1").returncode == 0
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}
    assert command_here("results.leaderboard", str(workdir), f"--out={again}").returncode == 0
    assert (again / "leaderboard.csv").read_bytes() == first
    assert _rows(again)["tiny"]["seeds"] == "2"
    # Runs of different budgets in one folder would be rankings of their own; they are refused.
    other = command_here(*arguments, "--config.budget.amount=768")
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "belongs to another configuration: budget.amount is 384" in other.stderr
    assert (workdir / "leaderboard.csv").read_bytes() == first


def test_a_suite_evaluated_otherwise_keeps_its_trainings(command_here, config, tmp_path):
    workdir = tmp_path / "suite"
    arguments = ("benchmarks.suite", _DIGITS, f"--workdir={workdir}", "--models=tiny", _SHORT)
    assert command_here(*arguments).returncode == 0
    path = workdir / "runs" / "tiny-seed0" / "record.json"
    before = records.read(path)
    otherwise = (*arguments, "--config.crop_fraction=0.5")
    left = command_here(*otherwise, "--dry_run").stdout
    assert "1 runs, 1 left to do" in left
    done = command_here(*otherwise)
    assert done.returncode == 0, done.stderr
    assert f"{workdir}: crop_fraction was 1.0 and is 0.5 now; trainings are kept" in done.stderr
    after = records.read(path)
    assert after.weights_digest == before.weights_digest
    assert after.timings.train_seconds == before.timings.train_seconds
    assert after.config["crop_fraction"] == 0.5
    assert after.metrics != before.metrics
    assert records.read(path.parent / "earlier" / "1" / "record.json") == before
    with (workdir / "leaderboard.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 1  # what was evaluated before is in no table
    stamp = path.stat().st_mtime_ns
    assert command_here(*otherwise).returncode == 0
    assert path.stat().st_mtime_ns == stamp


def test_a_shard_stops_where_another_has_configured_the_evaluation_anew(config, tmp_path):
    shared = stored.to_plain(config)
    claim.claim_suite(tmp_path, shared)
    claim.check_suite(tmp_path, shared)
    claim.claim_suite(tmp_path, shared | {"crop_fraction": 0.5})
    with pytest.raises(ConfigError, match="another shard has configured the evaluation of"):
        claim.check_suite(tmp_path, shared)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--models=resnet51"], "there is no model 'resnet51': did you mean resnet50"),
        (["--models=mobilenet_v1:depth=2"], "has no option 'depth=2'"),
        (["--config.dataset=digitz"], "digitz"),
        (["--config.budget.amount=-5"], "config.budget.amount is a number above 0, not -5"),
        (["--config.batchsize=5"], "batchsize"),
        (["--config.batch_size=many"], "batch_size"),
        (["--shard=2/2"], "--shard is i/n with i from 0 to n-1, such as 0/4, not '2/2'"),
        (["--seeds=one"], "--seeds are whole numbers"),
        (["--seeds="], "--seeds are whole numbers"),
        (["--models="], "a model is missing in ''"),
        (["--models=tiny,"], "a model is missing in 'tiny,'"),
        (["--modles=resnet50"], "modles"),
        (["--config=nowhere.py"], "nowhere.py"),
        (
            ["--config=benchmarks/configs/digits.py:other"],
            "error: flag --config=benchmarks/configs/digits.py:other: digits.py is :tuned,",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(command_here, tmp_path, arguments, says):
    workdir = tmp_path / "suite"
    given = ["--models=tiny", *arguments]
    if not any(argument.startswith("--config=") for argument in arguments):
        given.insert(0, _DIGITS)
    done = command_here("benchmarks.suite", *given, f"--workdir={workdir}")
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not workdir.exists()


def test_a_dry_run_tells_the_plan_and_writes_nothing(command_here, tmp_path, monkeypatch):
    workdir = tmp_path / "suite"
    arguments = ("benchmarks.suite", _DIGITS, f"--workdir={workdir}", "--dry_run", "--seeds=0,1,2")
    monkeypatch.setenv("COLUMNS", "120")
    done = command_here(*arguments, "--models=tiny,tiny:width=4", _SHORT, "--estimate")
    assert done.returncode == 0, done.stderr
    tiny = next(line for line in done.stdout.splitlines() if line.split()[:1] == ["tiny"])
    # 5,370 parameters; 3x3x3x8 multiply-accumulates at 8x8 places and 512x10 are 18,944, 6 FLOPs each, 384 examples.
    assert tiny.split()[1:-1] == ["32", "5.37k", "3", "3", "12", "384", "4.36e+07"]
    assert "6 runs, 6 left to do; 2,304 examples" in done.stdout
    assert "about" in done.stdout.splitlines()[-1]
    assert not workdir.exists()


def test_a_dry_run_knows_no_steps_of_seconds(config, tmp_path):
    config.budget.kind, config.budget.amount = "seconds", 5.0
    (line,) = dry_run.lines(plan(config, tmp_path, ["tiny"], [0]), estimate=False)
    assert (line.steps, line.examples, line.train_flops) == (None, None, None)
    dry_run.show(plan(config, tmp_path, ["tiny"], [0]), estimate=False)


def test_a_folder_of_another_configuration_is_refused_and_left_alone(config, tmp_path):
    (tmp_path / "suite.json").write_text(json.dumps({"dataset": "cifar10"}))
    with pytest.raises(ConfigError, match="belongs to another configuration"):
        run(config, tmp_path, model_specs=["tiny"], seeds=[0])
    assert [path.name for path in tmp_path.iterdir()] == ["suite.json"]


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_that_an_earlier_version_left_under_another_models_name_is_refused(
    config, tmp_path, finished
):
    folder = tmp_path / "runs" / "mobilenet_v1-width=0.25-seed0"
    folder.mkdir(parents=True)
    content = stored.to_plain(config) | {"model": "mobilenet_v1:width=0.25"}
    if finished:
        (folder / "record.json").write_text(json.dumps({"schema_version": 5, "config": content}))
    else:
        (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError) as error:
        plan(config, tmp_path, ["mobilenet_v1:width=0.25"], [0])
    assert str(error.value) == (
        f"{folder} holds a run of an earlier version, whose mobilenet_v1:width=0.25 is"
        " mobilenet_v1:epsilon=1e-05,padding=torch,width=0.25 today, and not mobilenet_v1:width=0.25; choose another"
        " --workdir."
    )
    plan(config, tmp_path, ["tiny"], [0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"schema_version": 4}',
        '{"model": 3}',
        '{"model": "mobilenet_v1", "schema_version": "new"}',
    ],
)
def test_whatever_else_lies_in_a_runs_folder_is_left_to_what_reads_it(config, tmp_path, text):
    folder = tmp_path / "runs" / "mobilenet_v1-seed0"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(text)
    assert len(plan(config, tmp_path, ["mobilenet_v1"], [0])) == 1


def test_a_working_directory_that_cannot_be_made_is_refused(config, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        run(config, tmp_path / "file" / "suite", model_specs=["tiny"], seeds=[0])


@pytest.mark.slow
def test_a_run_killed_outright_is_resumed_by_the_same_command(config, tmp_path, monkeypatch):
    whole = run(config, tmp_path / "whole", model_specs=["tiny"], seeds=[0])
    killed = tmp_path / "killed" / "runs" / "tiny-seed0"
    script = (
        "import os, signal, sys; from benchmarks import config, loop, train;"
        "from benchmarks import checkpoints;"
        "save = checkpoints.Checkpoints.save;\n"
        "def save_and_die(self, step, *rest):\n"
        "    save(self, step, *rest)\n"
        "    if step == 10:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "checkpoints.Checkpoints.save = save_and_die\n"
        "train.train_and_evaluate(config.load(sys.argv[1]), sys.argv[2])"
    )
    original = tmp_path / "whole" / "runs" / "tiny-seed0" / "config.json"
    done = subprocess.run(
        [sys.executable, "-c", script, str(original), str(killed)],
        capture_output=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    resumed = run(config, tmp_path / "killed", model_specs=["tiny"], seeds=[0])
    assert records.read(killed / "record.json") == resumed[0]
    assert resumed[0].weights_digest == whole[0].weights_digest


def _copied_without(data_dir, folder, split):
    datasets.load("digits", data_dir)  # prepares it, if no other test has
    shutil.copytree(f"{data_dir}/digits", folder / "digits")
    (shard,) = folder.glob(f"digits/*/*-{split}.*")
    shard.unlink()
    return str(folder)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_missing_file_of_any_split_is_told_before_a_run_begins(
    command_here, data_dir, tmp_path, split
):
    incomplete = _copied_without(data_dir, tmp_path / "data", split)
    done = command_here(
        "benchmarks.suite",
        _DIGITS,
        f"--workdir={tmp_path / 'suite'}",
        "--models=tiny",
        "--seeds=0,1",
        f"--config.data_dir={incomplete}",
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"the 1 files of split '{split}' are missing" in done.stderr
    assert not (tmp_path / "suite").exists()
