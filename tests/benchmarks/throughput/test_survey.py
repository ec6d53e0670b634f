"""`--all` measures what is wanted most first, and goes on where it was cut off; what measures is stood in for."""

import csv
import dataclasses
import json
import types

import pytest

import models
from benchmarks.config import default_config
from benchmarks.machine import child, environment
from benchmarks.machine.child import ChildError
from benchmarks.runs import validation
from benchmarks.throughput import (
    alone_child,
    handed_over,
    model_speed,
    own_child,
    peers,
    survey,
    survey_folder,
)
from benchmarks.throughput.model_speed import Speed
from benchmarks.throughput.peers import PeerSpeed
from benchmarks.throughput.roofline import Roofline
from isobudget.errors import UserError

_SEVEN = ("resnet50", "mobilenet_v1", "vgg16", "googlenet", "squeezenet1_1", "alexnet", "vgg19")
_OF_TYPE = {str: "text", int: 3, float: 0.1 + 0.2, bool: False, int | None: None}


def row(of, setup, **fields):
    """A row of a model, of the class `of`, with numbers that no CSV may round."""
    values = {field.name: _OF_TYPE[field.type] for field in dataclasses.fields(of)}
    config = setup.config
    values |= {"model": setup.model, "image_size": setup.image_size}
    return of(**values | {"batch_size": config.batch_size, "dtype": config.dtype} | fields)


class StandIn:
    """What measures, without measuring.

    Attributes:
      machine: what it says of the machine.
      measured: what it was asked for so far: the kind and the model.
      groups: how many models it was to compare at once, each time.
      failing: the models that it fails on.
      ends_at: at which measurement the command is cut off.
    """

    def __init__(self):
        hardware = {"platform": "cpu", "device_kind": "cpu", "device_count": 1, "memory_bytes": 7}
        self.machine = {"hardware": hardware, "software": {"python": "3.12", "jax": "0.11.2"}}
        self.measured = []
        self.groups = []
        self.failing = ()
        self.ends_at = None

    def __call__(self, kind, setup):
        if self.ends_at == len(self.measured):
            raise KeyboardInterrupt
        self.measured.append((kind, setup.model))
        if setup.model in self.failing:
            raise ChildError(f"{setup.model} is out of memory.")

    def ask(self, arguments, request, who):
        del arguments, who
        if request["do"] == "machine":
            return json.loads(json.dumps(self.machine))
        setup = handed_over.setup_of(request)
        self(request["kind"], setup)
        if request["kind"] == "Speed":
            return {"rows": [dataclasses.asdict(row(Speed, setup))]}
        both = [row(Roofline, setup, kind=kind) for kind in ("train", "infer")]
        return {"rows": [dataclasses.asdict(each) for each in both]}

    def compare(self, setups, manner):
        self.groups.append(len(setups))
        for setup in setups:
            try:
                self("PeerSpeed", setup)
                yield row(PeerSpeed, setup, peer_compiled=manner.compiled)
            except ChildError as error:
                yield error


@pytest.fixture
def stand_in(monkeypatch):
    standing = StandIn()
    monkeypatch.setattr(child, "ask", standing.ask)
    monkeypatch.setattr(peers, "measure", standing.compare)
    monkeypatch.setattr(peers, "_is_installed", lambda package: True)
    monkeypatch.setattr(environment, "git", lambda: ("c0ffee", False))
    return standing


@pytest.fixture
def measure_all(stand_in, command_here, tmp_path):
    """Runs `--all` into `tmp_path / "out"`."""

    def run(*arguments):
        return command_here(
            "benchmarks.throughput", "--all", f"--out={tmp_path / 'out'}", *arguments
        )

    return run


@pytest.fixture
def tiny():
    """Makes the setup of a variant of the tests' own model, in pictures of 32x32."""

    def make(spec="tiny", batch_size=2):
        config = default_config()
        config.plugins = ("tiny_model",)
        config.model, config.image_size = spec, "32"
        config.batch_size = config.eval_batch_size = batch_size
        return validation.checked(config, 10)

    return make


def table(folder, name):
    with (folder / "out" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def models_of(folder, name):
    return [each["model"] for each in table(folder, name)]


def test_the_seven_come_first_beside_their_peers_then_their_bounds_then_the_others_alone(
    measure_all, stand_in, tmp_path
):
    done = measure_all("--peers=torch", "--dtype=bfloat16")
    assert done.returncode == 0, done.stderr
    others = [name for name in models.names() if name not in _SEVEN]
    assert stand_in.measured == [
        *(("PeerSpeed", name) for name in _SEVEN),
        *(("Roofline", name) for name in _SEVEN),
        *(("Speed", name) for name in others),
    ]
    first, *_ = done.stderr.splitlines()
    assert first == (
        f"measuring, in this order, beside PyTorch: {', '.join(_SEVEN)}; then against the device's bounds: "
        f"{', '.join(_SEVEN)}; then alone: {', '.join(others)}."
    )
    assert models_of(tmp_path, "peers.csv") == [*_SEVEN]
    assert models_of(tmp_path, "roofline.csv") == [name for name in _SEVEN for _ in range(2)]
    assert models_of(tmp_path, "models.csv") == others
    for name in survey_folder.FILES.values():
        assert str(tmp_path / "out" / name) in done.stdout.replace("\n", "")
    assert "Not measured" not in done.stdout


def test_without_peers_the_seven_are_measured_alone_and_models_keep_their_order(
    measure_all, stand_in, tmp_path
):
    done = measure_all("--models=tiny,alexnet,resnet18,resnet50,alexnet")
    assert stand_in.measured == [
        ("Speed", "resnet50"),
        ("Speed", "alexnet"),
        ("Roofline", "resnet50"),
        ("Roofline", "alexnet"),
        ("Speed", "tiny"),
        ("Speed", "resnet18"),
    ]
    assert "alone: resnet50, alexnet; then against the device's bounds: resnet50" in done.stderr
    assert not (tmp_path / "out" / "peers.csv").exists()


def test_a_command_that_is_cut_off_keeps_its_rows_and_the_next_measures_the_rest(
    measure_all, stand_in, tmp_path
):
    arguments = ("--peers=torch", "--models=resnet50,vgg16,tiny", "--prepare_at_once=2")
    expected = [
        ("PeerSpeed", "resnet50"),
        ("PeerSpeed", "vgg16"),
        ("Roofline", "resnet50"),
        ("Roofline", "vgg16"),
        ("Speed", "tiny"),
    ]
    for end in range(1, len(expected) + 1):
        stand_in.ends_at = end  # after one more
        done = measure_all(*arguments)
        assert stand_in.measured == expected[:end]
        assert done.returncode == (0 if end == len(expected) else 130)
    assert "4 of 5 measurements are there already; measuring, in this order, alone: tiny." in (
        done.stderr
    )
    assert models_of(tmp_path, "peers.csv") == ["resnet50", "vgg16"]
    assert models_of(tmp_path, "roofline.csv") == ["resnet50"] * 2 + ["vgg16"] * 2
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}
    again = measure_all(*arguments)
    assert again.returncode == 0
    assert "All 5 measurements are there already." in again.stderr
    assert stand_in.measured == expected
    assert {path: path.read_bytes() for path in before} == before
    assert "resnet50" in again.stdout


def test_other_settings_are_other_rows(measure_all, stand_in, tmp_path):
    for arguments in (
        ("--peers=torch",),
        ("--peers=torch", "--compile_peer"),
        ("--peers=torch", "--dtype=bfloat16"),
        ("--peers=torch", "--batch_size=64"),
        ("--peers=torch", "--image_size=64"),
        ("--peers=torch", "--image_size=64", "--turns=5", "--minutes=9"),
        ("--peers=torch", "--compile_peer"),
        (),
    ):
        assert measure_all("--models=resnet50", *arguments).returncode == 0
    kinds = [kind for kind, _ in stand_in.measured]
    assert [kinds.count(kind) for kind in ("PeerSpeed", "Roofline", "Speed")] == [5, 4, 1]
    done = measure_all("--models=resnet50", "--peers=torch", "--batch_size=64")
    assert done.stdout.count("resnet50") == 3  # no row that has other settings
    rows = table(tmp_path, "peers.csv")
    assert [each["peer_compiled"] for each in rows] == ["False", "True"] + ["False"] * 3
    assert [each["train_ratio"] for each in rows] == [str(0.1 + 0.2)] * 5


def test_one_that_fails_is_told_twice_and_stops_no_other_and_is_tried_again(
    measure_all, stand_in, tmp_path
):
    stand_in.failing = ("vgg16", "tiny")
    arguments = ("--peers=torch", "--models=resnet50,vgg16,alexnet,tiny,resnet18")
    done = measure_all(*arguments)
    assert done.returncode == 1
    for what in ("vgg16 beside PyTorch", "vgg16 against the device's bounds", "tiny alone"):
        sentence = f"{what}: {what.split()[0]} is out of memory."
        assert f"error: {sentence}\n" in done.stderr
        assert f"Not measured: {sentence}\n" in done.stdout
    assert models_of(tmp_path, "peers.csv") == ["resnet50", "alexnet"]
    assert models_of(tmp_path, "models.csv") == ["resnet18"]
    stand_in.failing, stand_in.measured = (), []
    assert measure_all(*arguments).returncode == 0
    assert stand_in.measured == [("PeerSpeed", "vgg16"), ("Roofline", "vgg16"), ("Speed", "tiny")]


def test_a_peer_that_is_not_installed_costs_only_its_models(measure_all, stand_in, monkeypatch):
    monkeypatch.setattr(peers, "_is_installed", lambda package: package != "timm")
    done = measure_all("--peers=torch", "--models=resnet50,mobilenet_v1", "--prepare_at_once=2")
    assert done.returncode == 1
    assert "Not measured: mobilenet_v1 beside PyTorch: comparing with PyTorch needs timm" in (
        done.stdout
    )
    assert [model for _, model in stand_in.measured] == ["resnet50", "resnet50", "mobilenet_v1"]


def test_pictures_too_small_for_a_model_cost_only_that(measure_all, stand_in):
    done = measure_all("--models=alexnet,tiny", "--image_size=32")
    assert done.returncode == 1
    assert stand_in.measured == [("Speed", "tiny")]
    assert "error: alexnet: alexnet" in done.stderr
    assert "Not measured: alexnet: alexnet" in done.stdout


def test_after_its_minutes_nothing_more_is_begun(measure_all, stand_in, monkeypatch):
    arguments = ("--peers=torch", "--models=resnet50,vgg16,alexnet", "--prepare_at_once=2")
    done = measure_all("--minutes=0", *arguments)
    assert (done.returncode, stand_in.measured) == (0, [])
    assert "The 0 minutes were over before 6 of the measurements were begun" in done.stdout
    clock = types.SimpleNamespace(monotonic=iter([0.0, 59.0, 61.0]).__next__)
    monkeypatch.setattr(survey, "time", clock)
    done = measure_all("--minutes=1", *arguments)
    assert stand_in.groups == [2]
    assert "The 1 minutes were over before 4 of the measurements were begun" in done.stdout


@pytest.mark.parametrize(("platform", "batch_size"), [("cpu", "32"), ("gpu", "256")])
def test_an_accelerator_gets_larger_batches_by_default(
    measure_all, stand_in, tmp_path, platform, batch_size
):
    stand_in.machine["hardware"]["platform"] = platform
    assert measure_all("--models=tiny").returncode == 0
    assert [each["batch_size"] for each in table(tmp_path, "models.csv")] == [batch_size]


def test_the_machine_and_each_command_are_written_beside_the_tables(
    measure_all, stand_in, tmp_path
):
    measure_all("--models=tiny")
    stand_in.machine["hardware"]["memory_bytes"] = 8  # a little less is free after another start
    stand_in.machine["software"]["torch"] = "2.11.0"  # was installed since
    assert measure_all("--models=tiny,resnet18").returncode == 0
    machine = json.loads((tmp_path / "out" / "machine.json").read_text())
    assert machine["hardware"] == stand_in.machine["hardware"]
    assert machine["software"] == stand_in.machine["software"]
    assert [each["command"].split("--models=")[1].split()[0] for each in machine["commands"]] == [
        "tiny",
        "tiny,resnet18",
    ]


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("hardware", "device_kind", "H100"), ("software", "jax", "0.11.3")],
)
def test_another_machine_or_version_is_not_mixed_in(
    measure_all, stand_in, tmp_path, part, name, value
):
    measure_all("--models=tiny")
    before = (tmp_path / "out" / "machine.json").read_text()
    earlier, stand_in.machine[part][name] = stand_in.machine[part][name], value
    done = measure_all("--models=resnet18")
    assert done.returncode == 2
    assert f"({part}.{name} is '{earlier}' there, '{value}' here)" in done.stderr
    assert "choose another --out." in done.stderr
    assert stand_in.measured == [("Speed", "tiny")]
    assert (tmp_path / "out" / "machine.json").read_text() == before


def test_another_commit_is_not_mixed_in(measure_all, monkeypatch):
    measure_all("--models=tiny")
    monkeypatch.setattr(environment, "git", lambda: ("0ther", False))
    assert (
        "(commit is 'c0ffee' there, '0ther' here): choose another --out."
        in measure_all("--models=tiny").stderr
    )


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("machine.json", None, "holds tables and no machine.json"),
        ("machine.json", "[]", "machine.json' does not describe a machine."),
        ("models.csv", "model,speed\ntiny,3\n", "models.csv' has other columns"),
        ("models.csv", b"\xff", "models.csv' is no table"),
    ],
)
def test_what_is_not_a_surveys_is_left_alone(
    measure_all, stand_in, tmp_path, name, content, sentence
):
    measure_all("--models=tiny")
    path = tmp_path / "out" / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = measure_all("--models=tiny,resnet18")
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(stand_in.measured) == 1
    assert not path.exists() if content is None else path.read_bytes()


def test_a_row_that_was_torn_is_told(measure_all, tmp_path):
    measure_all("--models=tiny,resnet18")
    path = tmp_path / "out" / "models.csv"
    path.write_bytes(path.read_bytes()[:-30])
    assert "models.csv' is no table of this command's" in measure_all("--models=tiny").stderr


def test_two_commands_do_not_measure_into_one_folder(measure_all, stand_in, tmp_path):
    with survey_folder.held(tmp_path / "out"):
        done = measure_all("--models=tiny")
    assert done.returncode == 2
    assert "another command measures into" in done.stderr
    assert stand_in.measured == []


def test_with_several_devices_nothing_is_compared(measure_all, stand_in):
    stand_in.machine["hardware"]["device_count"] = 8
    done = measure_all("--peers=torch")
    assert done.returncode == 2
    assert "PyTorch is measured on one device, and JAX sees 8" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--input"], "say only one"),
        (["--roofline"], "say only one"),
        (["--loop"], "say only one"),
        (["--launch=1"], "say only one"),
        (["--recognize=run", "--pictures=folder"], "say only one"),
        (["--cache=device"], "--cache does not go with --all."),
        (["--dataset=digits"], "--dataset does not go with --all."),
        (["--workers=0"], "--workers does not go with --all."),
        (["--compile_peer"], "--compile_peer goes with --peers=torch"),
        (["--peers=tf_data"], "models are compared with torch alone"),
        (["--models=resnet51"], "resnet51"),
        (["--models=alexnet", "--image_size=32"], "alexnet"),
        (["--image_size=large"], "large"),
        (["--out="], "--all needs --out"),
        (["--out=/dev/null/out"], "cannot be written: Not a directory."),
    ],
)
def test_what_contradicts_it_is_one_sentence(measure_all, stand_in, arguments, sentence):
    done = measure_all(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert stand_in.measured == []


def test_minutes_go_with_it_alone(command_here):
    done = command_here("benchmarks.throughput", "--models=tiny", "--minutes=1")
    assert (done.returncode, done.stderr) == (2, "error: --minutes goes with --all.\n")


def test_a_process_measures_one_model_alone_and_says_what_the_machine_is(tiny, monkeypatch):
    monkeypatch.setattr(model_speed, "_SECONDS", 0.0)
    monkeypatch.setattr(model_speed, "_STEPS", 1)
    with handed_over.request(tiny()) as request:
        told = alone_child.answer({"do": "measure", "kind": "Speed"} | request)
    (speed,) = (Speed(**each) for each in json.loads(json.dumps(told))["rows"])
    assert (speed.model, speed.image_size, speed.batch_size) == ("tiny", 32, 2)
    assert speed.train_images_per_second > 0
    machine = alone_child.answer({"do": "machine"})
    assert machine["hardware"]["platform"] == "cpu"
    assert "jax" in machine["software"]


def test_the_drivers_version_is_read_where_there_is_one(tmp_path, monkeypatch):
    path = tmp_path / "version"
    monkeypatch.setattr(alone_child, "_NVIDIA_DRIVER", path)
    assert "driver" not in alone_child.answer({"do": "machine"})["hardware"]
    path.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\n"
        "GCC version:  gcc version 13.3.0\n"
    )
    assert alone_child.answer({"do": "machine"})["hardware"]["driver"] == "580.159.04"


def test_a_process_without_memory_says_so_in_one_sentence(tiny):
    sentence = "is out of memory with a batch of 2 at 32 pixels.$"
    with handed_over.request(tiny("tiny:fault=memory")) as request:
        with pytest.raises(UserError, match=sentence):
            alone_child.answer({"do": "measure", "kind": "Speed"} | request)
        with pytest.raises(UserError, match=sentence):
            own_child.Answers()({"do": "prepare"} | request)


def test_its_order_is_of_models_that_are_there():
    assert set(survey.FIRST) <= set(models.names())
