"""What models, data, weights and training say of a submitted run: levels b, c, d and e."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.audit import run as audits
from benchmarks.audit import weights
from results.audit import submission
from results.bundles import write
from results.records import layout


@pytest.fixture
def audit(data_dir) -> Callable[..., dict[str, str]]:
    """Returns a function from a submission to the verdict on each claim, by level and name."""

    def audited(path, **changes) -> dict[str, str]:
        request = audits.Request("audit", str(path), "run", data_dir, **changes)
        return {
            f"{each['level']} {each['name']}": each["verdict"] for each in audits.audit(request)
        }

    return audited


def _contradicted(verdicts: dict[str, str]) -> set[str]:
    return {name for name, verdict in verdicts.items() if verdict == "contradicted"}


def _change_record(folder, change) -> None:
    path = layout.path_in(folder)
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def _change_log(folder, change) -> None:
    path = layout.metrics_in(folder)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        change(line)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def _change_test(folder, change) -> None:
    path = layout.predictions_in(folder, "test")
    arrays = dict(np.load(path))
    change(arrays)
    np.savez(path, **arrays)


def _pack(folder, out):
    packed = out.with_suffix(".npz")
    weights.pack(folder, packed)
    write.write([folder], out, lambda *_: packed.read_bytes())
    return out


def test_an_honest_run_is_verified_at_every_level(short_run, audit, tmp_path):
    verdicts = audit(_pack(short_run[0], tmp_path / "a.zip"), rerun_steps=4)
    assert not _contradicted(verdicts)
    verified = {name for name, verdict in verdicts.items() if verdict == "verified"}
    assert verified >= {
        "b model.parameters", "b model.macs", "b budget.train_flops_spent", "c dataset.splits", "c labels.test",
        "d weights", "d predictions.test", "d metrics.test.top1", "e log.losses",
    }  # fmt: skip
    assert verdicts["b log.learning_rate"] == "consistent"


def test_packed_weights_are_the_same_bytes_each_time(short_run, tmp_path):
    first, second = (_pack(short_run[0], tmp_path / name) for name in ("a.zip", "b.zip"))
    assert first.read_bytes() == second.read_bytes()


def test_flops_and_sizes_that_were_lowered(copied_run, audit):
    def change(record):
        record["budget"]["train_flops_spent"] /= 2
        record["model"]["parameters"] -= 1
        record["model"]["macs"] -= 1

    _change_record(copied_run, change)
    assert _contradicted(audit(copied_run)) >= {
        "b budget.train_flops_spent", "b model.parameters", "b model.macs",
    }  # fmt: skip


def test_learning_rates_that_were_not_those_of_the_schedule(copied_run, audit):
    def change(line):
        if line.get("step", 0) > 8 and "train/learning_rate" in line:
            line["train/learning_rate"] *= 1.1

    _change_log(copied_run, change)
    assert _contradicted(audit(copied_run)) == {"b log.learning_rate"}


def test_a_learning_rate_that_the_tuning_never_tried(copied_run, audit):
    def change(record):
        record["config"]["tuning_trials"] = 4
        record["config"]["tuning"] = {"optimizer": {"learning_rate": [0.001, 0.1]}}

    _change_record(copied_run, change)
    assert _contradicted(audit(copied_run)) == {"b tuning"}


def test_labels_that_are_not_the_datasets(copied_run, audit):
    def change(arrays):
        arrays["label"][3] = (arrays["label"][3] + 1) % 10

    _change_test(copied_run, change)
    assert _contradicted(audit(copied_run)) == {"c labels.test"}


def test_predictions_of_the_validation_split_reported_as_those_of_the_test_split(copied_run, audit):
    shutil.copy(
        layout.predictions_in(copied_run, "validation"), layout.predictions_in(copied_run, "test")
    )
    assert "c labels.test" in _contradicted(audit(copied_run))


def test_test_examples_that_were_left_out_of_the_record_too(copied_run, audit):
    _change_record(copied_run, lambda record: record["dataset"].update(test_examples=300))
    assert "c dataset.splits" in _contradicted(audit(copied_run))


def test_predictions_and_metrics_that_agree_but_are_not_of_the_weights(copied_run, audit, tmp_path):
    def change(arrays):
        wrong = arrays["rank"] > 0
        arrays["predicted"][wrong], arrays["rank"][wrong] = arrays["label"][wrong], 0
        arrays["loss"][wrong] = -np.log(arrays["confidence"][wrong])

    _change_test(copied_run, change)
    _change_record(copied_run, lambda record: record["metrics"]["test"].update(top1=1.0))
    contradicted = _contradicted(audit(_pack(copied_run, tmp_path / "a.zip")))
    assert contradicted == {"d predictions.test", "d metrics.test.top1"}


def test_weights_of_one_with_the_record_of_another(copied_run, audit, tmp_path):
    sound = _pack(copied_run, tmp_path / "a.zip")
    with zipfile.ZipFile(sound) as archive:
        held = dict(np.load(io.BytesIO(archive.read("runs/run/weights.npz"))))
    first = next(iter(held))
    other = io.BytesIO()
    np.savez(other, **(held | {first: held[first] + 1}))
    write.write([copied_run], tmp_path / "b.zip", lambda *_: other.getvalue())
    assert _contradicted(audit(tmp_path / "b.zip")) == {"d weights"}
    fewer = io.BytesIO()
    np.savez(fewer, **{first: held[first]})
    write.write([copied_run], tmp_path / "c.zip", lambda *_: fewer.getvalue())
    assert _contradicted(audit(tmp_path / "c.zip")) == {"d weights"}


def test_losses_that_the_first_steps_do_not_have(copied_run, audit):
    def change(line):
        if "train/loss" in line:
            line["train/loss"] *= 0.98

    _change_log(copied_run, change)
    assert "e log.losses" in _contradicted(audit(copied_run, rerun_steps=4))


def test_a_clock_that_ran_slow_in_all_that_the_run_says(copied_run, audit):
    """Record, log and times of day agree; only the steps themselves tell, on the same kind of machine."""
    slow = 100

    def change_record(record):
        for part in ("budget", "timings"):
            for name, value in record[part].items():
                if name.endswith("seconds") or name == "train_seconds_spent":
                    record[part][name] = value and value / slow
        record["throughput"]["train_images_per_second"] *= slow
        record["started_at"] = record["finished_at"]

    def change_line(line):
        if "train_seconds" in line:
            line["train_seconds"] /= slow
        if "train/images_per_second" in line:
            line["train/images_per_second"] *= slow

    _change_record(copied_run, change_record)
    _change_log(copied_run, change_line)
    (audited,) = submission.audit(copied_run).runs
    assert audited.verdict == "consistent"  # level b cannot see it
    assert _contradicted(audit(copied_run, rerun_steps=4)) == {"e seconds"}


def test_a_plug_in_that_nobody_here_named_is_not_imported(copied_run, audit, tmp_path, monkeypatch):
    (tmp_path / "evil_module.py").write_text("open('imported', 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    _change_record(copied_run, lambda record: record["config"].update(plugins=["evil_module"]))
    assert audit(copied_run) == {"b models": "not checked"}
    assert not (tmp_path / "imported").exists()


def test_the_commands_pack_weights_and_audit_them(short_run, command, data_dir, tmp_path):
    out = tmp_path / "a.zip"
    done = command(
        "results.submit", str(short_run[0]), f"--out={out}", "--weights", "--plugins=tiny_model"
    )
    assert done.returncode == 0, done.stderr
    done = command(
        "results.audit", str(out), "--json", "--plugins=tiny_model", f"--data_dir={data_dir}"
    )
    assert done.returncode == 0, done.stderr
    (audited,) = json.loads(done.stdout)["audits"]
    assert audited["verdict"] == "verified"
