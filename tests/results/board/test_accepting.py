"""Making a board and adding bundles: what is accepted, what is kept beside it, and what is refused and why."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from results import RecordError, board, records, rules
from results.board import kept
from results.bundles import write
from results.records import Plugin

RECORD = "record.json"
RUNS = Path(__file__).parents[3] / "results" / "published" / "digits" / "runs"


def _reasons(outcome) -> str:
    claims = [*outcome.audit.claims, *(c for run in outcome.audit.runs for c in run.claims)]
    return "\n".join(claim.reason for claim in claims if claim.verdict == "contradicted")


def test_a_board_begins_with_its_rules_and_no_bundle(tmp_path, folder):
    assert (folder / "board.toml").read_text() == (tmp_path / "rules.toml").read_text()
    assert board.load(folder).entries == ()
    with pytest.raises(RecordError, match=r"there is a board in .* already"):
        board.create(folder, tmp_path / "rules.toml")


def test_rules_that_are_none_make_no_board(tmp_path):
    (tmp_path / "rules.toml").write_text("title = 3")
    with pytest.raises(RecordError, match=r"rules\.toml: "):
        board.create(tmp_path / "board", tmp_path / "rules.toml")
    assert not (tmp_path / "board").exists()


def test_an_accepted_bundle_lies_in_a_folder_named_by_its_digest_with_the_report(
    folder, bundle, add
):
    path = bundle("resnet50-seed0")
    outcome = add(folder, path, "2026-03-01T13:00:00+01:00", "  Ada   Lovelace ")
    assert outcome.accepted
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    own = folder / "bundles" / digest
    assert [each.name for each in sorted(folder.glob("bundles/*/*"))] == [
        "accepted.json",
        "audit.json",
        "bundle.zip",
    ]
    assert (own / "bundle.zip").read_bytes() == path.read_bytes()
    accepted = json.loads((own / "accepted.json").read_text())
    assert accepted == {"by": "Ada Lovelace", "at": "2026-03-01T12:00:00Z"}
    report = json.loads((own / "audit.json").read_text())
    assert report["audit"]["verdict"] == "consistent"
    assert str(folder) not in json.dumps(report)
    read = kept.report_from_json((own / "audit.json").read_bytes())
    assert read.runs["resnet50-seed0"] == outcome.audit.runs[0]
    assert read.claims == outcome.audit.claims


def test_the_same_bundle_again_changes_nothing(folder, bundle, add):
    add(folder, bundle("resnet50-seed0"), by="Ada")
    again = add(folder, bundle("resnet50-seed0"), by="Grace")
    assert (again.accepted, again.audit) == (True, None)
    (entry,) = board.load(folder).entries
    assert entry.accepted.by == "Ada"


def test_a_contradicted_bundle_is_refused_and_leaves_nothing(folder, change, add):
    record = records.read(RUNS / "resnet50-seed0" / RECORD)
    metrics = dataclasses.replace(record.metrics, test={**record.metrics.test, "top1": 0.999})
    outcome = add(folder, change("resnet50-seed0", metrics=metrics))
    assert not outcome.accepted
    assert "the record says 0.999" in _reasons(outcome)
    assert list((folder / "bundles").iterdir()) == []


def test_a_bundle_that_cannot_be_read_is_refused(folder, tmp_path, add):
    (tmp_path / "a.zip").write_bytes(b"no archive")
    outcome = add(folder, tmp_path / "a.zip")
    assert (outcome.accepted, "no zip archive" in outcome.audit.problem) == (False, True)
    assert list((folder / "bundles").iterdir()) == []


def test_a_folder_is_no_bundle(folder, tmp_path, add):
    with pytest.raises(RecordError, match=r"results\.submit makes a bundle of it"):
        add(folder, tmp_path)
    with pytest.raises(RecordError, match="there is no bundle"):
        add(folder, tmp_path / "nothing.zip")


def test_seeds_that_the_board_does_not_have_are_refused(folder, bundle, add):
    outcome = add(folder, bundle("resnet50-seed0", "resnet50-seed1"))
    assert not outcome.accepted
    assert "seed 1" in _reasons(outcome)


def test_runs_that_an_earlier_bundle_holds_under_another_name_are_refused(
    folder, bundle, change, add
):
    assert add(folder, bundle("resnet50-seed0")).accepted
    first = board.load(folder).entries[0]
    (_, record), *_ = first.runs.values()
    model = dataclasses.replace(record.model, name="mine")
    changed = {"run_id": "mine-seed0", "model": model, "config": {**record.config, "model": "mine"}}
    copied = add(folder, change("resnet50-seed0", **changed))
    assert not copied.accepted
    assert f"'resnet50-seed0' in bundle {first.digest[:12]}" in _reasons(copied)


def test_a_bundle_of_runs_that_the_board_has_is_refused(folder, bundle, change, add):
    assert add(folder, bundle("resnet50-seed0")).accepted
    copied = add(folder, change("resnet50-seed0", run_id="again-seed0"))
    assert not copied.accepted
    assert "all its runs are on the board already, such as 'resnet50-seed0'" in _reasons(copied)


def test_plug_ins_that_differ_between_seeds_are_no_row(make):
    keys = {
        rules.row_of(make(plugins=(Plugin("a.module", digest=digit * 64),), seed=seed)).key
        for seed, digit in enumerate("112")
    }
    assert len(keys) == 2


def test_seeds_that_begin_with_weights_of_their_own_are_one_row(make):
    def key(seed, **transfer):
        config = {"init_from": f"sha256:{seed}", "transfer": transfer}
        return rules.row_of(make(seed=seed, init_digest=f"{seed}" * 64, config=config)).key

    assert key(0) == key(1)
    assert key(0) != key(1, frozen_stages="all")
    assert key(0) != rules.row_of(make(config={"init_from": "", "transfer": {}})).key


def test_runs_of_several_divisions_are_no_row(tmp_path, bundle, rules_text, add):
    """A field that may differ between the seeds of a row is set by each division in its own way."""
    head = rules_text.partition("[[divisions]]")[0].replace("seeds = [0]", "seeds = 2")
    rule = "[[divisions]]\nname = '{0}'\nconfig = {{log_every_steps = {0}}}\n"
    (tmp_path / "rules.toml").write_text(head + rule.format(10) + rule.format(20))
    board.create(tmp_path / "board", tmp_path / "rules.toml")
    runs = []
    for seed, every in ((0, 10), (1, 20)):
        name = f"alexnet-seed{seed}"
        runs.append(Path(shutil.copytree(RUNS / name, tmp_path / "runs" / name)))
        record = records.read(runs[-1] / RECORD)
        config = {**record.config, "log_every_steps": every}
        records.write(dataclasses.replace(record, config=config), runs[-1] / RECORD)
    write.write(runs, tmp_path / "a.zip")
    outcome = add(tmp_path / "board", tmp_path / "a.zip")
    assert not outcome.accepted
    assert "the runs of alexnet are of several divisions" in _reasons(outcome)
    assert list((tmp_path / "board" / "bundles").iterdir()) == []
    assert add(tmp_path / "board", bundle("alexnet-seed0", "alexnet-seed1")).accepted


@pytest.mark.parametrize(
    ("by", "at", "why"),
    [
        ("a <b>", "2026-01-01", "HTML"),
        ("a\x1b[2J", "2026-01-01", "control character"),
        ("a" * 81, "2026-01-01", "80 characters"),
        ("a", "yesterday", "no date"),
        ("a", "1850-01-01", "before"),
        ("a", "0001-01-01T00:00:00+14:00", "no date"),
    ],
)
def test_who_and_when_are_checked(by, at, why):
    with pytest.raises(RecordError, match=why):
        kept.acceptance(by, at)


def test_what_comes_from_the_command_line_is_said_there(folder, bundle, change, command_here):
    here = (f"--board={folder}", "--nomodels", "--brief", "--by=Ada", "--date=2026-01-01")
    done = command_here("results.board", "add", bundle("alexnet-seed0"), *here)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("accepted, as " + board.load(folder).entries[0].digest[:12] + "\n")
    done = command_here("results.board", "add", bundle("alexnet-seed0"), *here)
    assert "is on the board already" in done.stdout
    done = command_here("results.board", "add", change("vgg16-seed0", seed=2), *here)
    assert done.returncode == 1
    assert done.stdout.endswith("refused\n")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "say what to do: init, add or build"),
        (["make"], "not 'make'"),
        (["init", "x"], "--rules=board.toml"),
        (["init"], "init takes the folder"),
        (["add"], "init takes the folder"),
        (["build", "x"], "init takes the folder"),
        (["build", "--board=nowhere"], "there is no board in 'nowhere'"),
        (["add", "a.zip", "--board=nowhere"], "there is no board in 'nowhere'"),
    ],
)
def test_mistakes_get_a_sentence(arguments, why, command_here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command_here("results.board", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert list(tmp_path.iterdir()) == []
