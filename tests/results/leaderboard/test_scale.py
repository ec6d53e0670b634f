"""Ten thousand records, some of them unusable, in one folder."""

import csv
import dataclasses
import json
import time

import pytest

from results import records

MODELS, SEEDS = 2_000, 5


@pytest.mark.slow
def test_ten_thousand_records_are_all_in_the_tables_and_bad_ones_are_named(
    run, tmp_path, capsys, command_here
):
    template = json.loads(records.to_json(run("model", 0, 0.5)))
    for i in range(MODELS):
        for seed in range(SEEDS):
            template["run_id"], template["seed"] = f"model{i:04}-{seed}", seed
            template["model"]["name"] = f"model{i:04}"
            template["metrics"]["test"]["top1"] = i / MODELS
            path = records.record_path(tmp_path, template["run_id"])
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(template, indent=2))
    damaged = records.record_path(tmp_path, "model0007-3")
    damaged.write_text(damaged.read_text()[:500])
    newer = records.record_path(tmp_path, "model0008-1")
    newer.write_text(json.dumps(template | {"schema_version": records.SCHEMA_VERSION + 1}))
    another = dataclasses.replace(run("model0000", 0, 0.99), run_id="model0000-0")
    records.write(another, records.record_path(tmp_path / "copy", "model0000-0"))

    begin = time.perf_counter()
    out = tmp_path / "out"
    ended = command_here("results.leaderboard", tmp_path, tmp_path / "copy", f"--out={out}")
    seconds = time.perf_counter() - begin

    assert ended.returncode == 0
    left_out = ended.stderr.splitlines()
    assert len(left_out) == 3
    for path in (damaged, newer):
        assert any(line.startswith(f"Left out: {path}: ") for line in left_out)
    assert "another record of run 'model0000-0'" in left_out[2 if "copy" in left_out[2] else 0]
    rows = list(csv.DictReader((tmp_path / "out" / "leaderboard.csv").open()))
    assert len(rows) == MODELS
    assert sum(int(row["seeds"]) for row in rows) == MODELS * SEEDS - 2
    document = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert len(document["rankings"][0]["rows"]) == MODELS
    with capsys.disabled():
        print(f"\n10,000 records to tables and page: {seconds:.1f} s")
