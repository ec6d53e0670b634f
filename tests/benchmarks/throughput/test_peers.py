"""Models are compared with PyTorch's in turns; the processes stand in for those that compute."""

import csv
import json

import pytest

from benchmarks.config import default_config
from benchmarks.errors import ConfigError
from benchmarks.machine import child, load, neighbors
from benchmarks.runs import validation
from benchmarks.throughput import peers, tables

# What the children would have measured, by turn: this suite's, and PyTorch's in its two formats.
_SPEEDS = {
    "own": [(100.0, 400.0), (120.0, 500.0), (90.0, 600.0)],
    "contiguous": [(50.0, 200.0), (100.0, 200.0), (60.0, 200.0)],
    "channels_last": [(80.0, 100.0), (70.0, 300.0), (75.0, 100.0)],
}
_CHILD = """
import json, pathlib
from benchmarks.machine import child
from isobudget.errors import UserError
folder = pathlib.Path(__file__).parent
who = "own"
times = 0

def respond(request):
    global who, times
    who = request.get("memory_format", who)
    if "config" in request:
        request["config"] = json.loads(pathlib.Path(request["config"]).read_text())
    with (folder / "requests.jsonl").open("a") as file:
        print(json.dumps(request | {"who": who}), file=file)
    if request["do"] == "platform":
        return {"platform": "cpu"}
    if request["do"] == "prepare":
        if (folder / "refuse.json").exists() and who in json.loads((folder / "refuse.json").read_text()):
            raise UserError("PyTorch cannot run it: out of memory.")
        return {"version": "2.99"}
    train, infer = json.loads((folder / "speeds.json").read_text())[who][times]
    times += 1
    busy = json.loads((folder / "busy.json").read_text())
    paces = {
        "train": {"images_per_second": train, "other_cores": busy if who == "channels_last" else 0.0},
        "infer": {"images_per_second": infer, "other_cores": 0.0},
    }
    return {"paces": paces}

child.answer(respond)
"""


@pytest.fixture
def children(tmp_path, monkeypatch):
    """The folder of children that tell `_SPEEDS`, and how busy.json says others were, on a machine that is quiet."""
    (tmp_path / "child.py").write_text(_CHILD)
    (tmp_path / "speeds.json").write_text(json.dumps(_SPEEDS))
    (tmp_path / "busy.json").write_text("0.0")
    for name in ("_OWN_CHILD", "_TORCH_CHILD"):
        monkeypatch.setattr(peers, name, (str(tmp_path / "child.py"),))
    monkeypatch.setattr(load, "other_cores", lambda: 0.02)
    monkeypatch.setattr(load, "cores", lambda: 2)
    monkeypatch.setattr(neighbors, "runs", set)
    monkeypatch.setattr(peers, "_is_installed", lambda package: True)
    return tmp_path


@pytest.fixture
def setup():
    config = default_config()
    config.model, config.image_size = "googlenet", "32"
    config.batch_size = config.eval_batch_size = 4
    return validation.checked(config, 10)


def requests(folder, do):
    asked = [json.loads(each) for each in (folder / "requests.jsonl").open()]
    return [each for each in asked if each["do"] == do]


def measure(setup, **manner):
    (speed,) = peers.measure([setup], peers.Manner(**manner))
    return speed


def test_the_ratio_is_the_median_of_the_turns_own_against_the_better_format():
    compared = peers.compare(
        [100.0, 120.0, 90.0], {"contiguous": [50, 100, 60], "channels_last": [80, 70, 75]}
    )
    assert (compared.own, compared.peer) == (100.0, 75.0)
    assert compared.memory_format == "channels_last"
    ratios = (compared.low, compared.ratio, compared.high)
    assert ratios == pytest.approx((90 / 75, 100 / 80, 120 / 70))


def test_all_are_measured_in_turns_and_training_and_inference_count_apart(children, setup, capsys):
    speed = measure(setup, turns=3)
    asked = [request["who"] for request in requests(children, "time")]
    assert asked == ["own", "contiguous", "channels_last"] * 3
    prepared = [request["who"] for request in requests(children, "prepare")]
    assert sorted(prepared) == ["channels_last", "contiguous", "own"]
    assert (speed.model, speed.image_size, speed.batch_size, speed.turns) == ("googlenet", 32, 4, 3)
    assert (speed.peer, speed.peer_network) == ("torch 2.99", "torchvision googlenet")
    assert (speed.train_images_per_second, speed.peer_train_images_per_second) == (100.0, 75.0)
    assert speed.train_ratio == pytest.approx(1.25)
    assert (speed.peer_train_format, speed.peer_infer_format) == ("channels_last", "contiguous")
    assert speed.infer_ratio == pytest.approx(2.5)
    assert (speed.infer_ratio_low, speed.infer_ratio_high) == pytest.approx((2.0, 3.0))
    assert speed.load_before_turns == "0.02 0.02 0.02"
    assert speed.alone
    told = capsys.readouterr().err
    assert told.count("0.0 of 2 cores were busy with other work before it") == 3
    assert "warning" not in told


def test_pytorch_is_asked_for_what_is_measured_here(children, setup):
    with setup.config.unlocked():
        setup.config.optimizer.name = "sgd"
    setup.config.dtype = "bfloat16"
    measure(setup, turns=1, compiled=True, seconds=0.5)
    prepared = {request["who"]: request for request in requests(children, "prepare")}
    own, theirs = prepared["own"], prepared["contiguous"]
    assert own["config"]["model"] == "googlenet"
    assert own["num_logits"] == theirs["num_classes"] == 10
    for field in ("batch_size", "dtype"):
        assert own["config"][field] == theirs[field]
    assert (theirs["image_size"], theirs["threads"], theirs["platform"]) == (32, 2, "cpu")
    assert (theirs["compile"], theirs["auxiliary_weight"]) == (True, 0.3)
    optimizer = own["config"]["optimizer"]
    assert theirs["optimizer"].items() <= optimizer.items()
    assert (theirs["optimizer"]["name"], theirs["optimizer"]["clip_norm"]) == ("sgd", 1.0)
    assert [request["seconds"] for request in requests(children, "time")] == [0.5] * 3


def test_other_work_before_a_turn_is_warned_of_with_the_trainings_and_marks_the_row(
    children, setup, monkeypatch, capsys
):
    monkeypatch.setattr(load, "other_cores", iter([0.0, 1.5, 0.0]).__next__)
    monkeypatch.setattr(neighbors, "runs", lambda: {"/runs/a", "/runs/b"})
    speed = measure(setup, turns=3)
    told = capsys.readouterr().err
    assert told.count("warning") == 1
    assert "before turn 2 of 3 of googlenet, 1.5 of 2 cores were busy with other work" in told
    assert "the training of /runs/a, /runs/b" in told
    assert (speed.load_before_turns, speed.most_other_cores) == ("0.00 1.50 0.00", 1.5)
    assert not speed.alone
    tables.print_table([speed])
    assert "beside other work: the ratios say nothing" in capsys.readouterr().out


def test_other_work_that_begins_during_a_turn_is_warned_of(children, setup, capsys):
    (children / "busy.json").write_text("0.7")
    speed = measure(setup, turns=1)
    assert "warning: during turn 1 of 1 of googlenet, 0.7 of 2 cores" in capsys.readouterr().err
    assert (speed.most_other_cores, speed.alone) == (0.7, False)


def test_what_the_children_cannot_do_is_told(children, setup):
    (children / "child.py").write_text("raise SystemExit(3)")
    told = measure(setup, turns=1)
    assert isinstance(told, child.ChildError)
    assert "the process of googlenet ended without an answer" in str(told)


def test_several_are_compiled_before_the_first_is_timed_and_one_that_fails_is_left_out(
    children, setup
):
    (children / "refuse.json").write_text('["contiguous"]')
    manner = peers.Manner(turns=2, formats=("channels_last",), at_once=2)
    first, second, third = peers.measure([setup] * 3, manner)
    assert first.train_ratio == second.train_ratio == third.train_ratio
    lines = (children / "requests.jsonl").read_text().splitlines()
    order = [(request["do"], request["who"]) for request in map(json.loads, lines)]
    assert order[:6] == [
        *[("platform", "own"), ("prepare", "own")]
        * 2,  # one after another: a GPU's kernels are timed meanwhile
        *[("prepare", "channels_last")] * 2,
    ]
    assert order[6:14] == [("time", "own"), ("time", "channels_last")] * 4
    assert [do for do, _ in order[14:]].count("time") == 4

    both = peers.Manner(turns=1, formats=peers.MEMORY_FORMATS)
    (failed,) = peers.measure([setup], both)
    assert str(failed) == "PyTorch cannot run it: out of memory."


def test_another_optimizer_is_one_sentence(setup):
    setup.config.optimizer.name = "lamb"
    with pytest.raises(ConfigError, match="compared with adamw and sgd, not 'lamb'"):
        measure(setup, turns=1)


def test_the_command_prints_a_row_for_each_model_and_writes_it(children, command_here, tmp_path):
    ended = command_here(
        *("benchmarks.throughput", "--models=squeezenet1_1,alexnet", "--peers=torch", "--turns=1"),
        *("--image_size=64", "--batch_size=4", f"--out={tmp_path / 'peers.csv'}"),
    )
    assert ended.returncode == 0, ended.stderr
    assert "1.25 (1.25 to 1.25)" in ended.stdout
    rows = list(csv.DictReader((tmp_path / "peers.csv").open()))
    assert [row["model"] for row in rows] == ["squeezenet1_1", "alexnet"]
    assert float(rows[0]["train_ratio"]) == 1.25
    assert rows[0]["alone"] == "True"


def test_a_model_that_fails_is_told_and_the_others_are_written(children, command_here, tmp_path):
    (children / "speeds.json").write_text(json.dumps(_SPEEDS | {"contiguous": []}))
    ended = command_here(
        *("benchmarks.throughput", "--models=alexnet", "--peers=torch", "--turns=1"),
        *("--image_size=64", "--batch_size=4", f"--out={tmp_path / 'peers.csv'}"),
    )
    assert ended.returncode == 1
    assert "error: PyTorch's process of alexnet ended without an answer" in ended.stderr
    assert not (tmp_path / "peers.csv").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--models=resnet50,plain18", "--peers=torch"], "no network like 'plain18'"),
        (["--models=tiny", "--peers=torch"], "no network like 'tiny'"),
        (["--models=resnet50", "--peers=tf_data"], "models are compared with torch alone"),
        (["--models=resnet50", "--peers=torch", "--loop"], "--peers is for models alone"),
        (["--models=resnet50", "--compile_peer"], "--compile_peer goes with --peers=torch"),
        (["--models=resnet50", "--cache=device"], "--cache goes with --input and --models"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(children, command_here, flags, sentence):
    ended = command_here("benchmarks.throughput", *flags)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (children / "requests.jsonl").exists()


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ({"torch", "torchvision", "timm"}, "needs torch and timm and torchvision"),
        ({"timm"}, "needs timm;"),
    ],
)
def test_packages_that_are_not_installed_are_one_sentence(monkeypatch, missing, sentence):
    monkeypatch.setattr(peers, "_is_installed", lambda package: package not in missing)
    with pytest.raises(ConfigError, match=sentence) as raised:
        peers.check_networks(["resnet50", "mobilenet_v1"])
    assert "pip install 'isobudget[parity]'" in str(raised.value)
