"""A thousand bundles of 5,000 test examples: levels a, b and f in a minute on two cores, in flat memory."""

import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from results.bundles import write
from results.rankings import metrics
from results.records import layout

_RUN = (
    Path(__file__).parents[3] / "results" / "published" / "digits" / "runs" / "squeezenet1_1-seed0"
)
_EXAMPLES, _BUNDLES = 5_000, 1_000
_BOARD = """
title = "Digits"
dataset = "digits"
seeds = 1
budget = {kind = "examples", amount = 8000}
"""


def _write_large_bundle(folder: Path, chance: np.random.Generator) -> Path:
    """Writes a bundle of a run with predictions for as many examples, all that it says of them in agreement."""
    run = Path(shutil.copytree(_RUN, folder / _RUN.name))
    confidence = chance.uniform(0.5, 1, _EXAMPLES).astype(np.float32)
    label = chance.integers(0, 10, _EXAMPLES)
    right = chance.random(_EXAMPLES) < 0.8
    probability = np.where(right, confidence, (1 - confidence) / 2)
    arrays = {
        "index": np.arange(_EXAMPLES),
        "label": label,
        "predicted": np.where(right, label, (label + 1) % 10),
        "rank": np.where(right, 0, 1),
        "confidence": confidence,
        "loss": -np.log(probability).astype(np.float32),
    }
    np.savez_compressed(layout.predictions_in(run, "test"), **arrays)
    path = layout.path_in(run)
    record = json.loads(path.read_text())
    record["dataset"]["test_examples"] = _EXAMPLES
    record["metrics"]["test"] = metrics.single_label(arrays)
    path.write_text(json.dumps(record))
    log = layout.metrics_in(run)
    lines = [line for line in log.read_text().splitlines() if "test/" not in line]
    log.write_text("".join(f"{line}\n" for line in lines))
    write.write([run], folder / "0000.zip")
    return folder / "0000.zip"


@pytest.mark.slow
def test_a_thousand_bundles_take_less_than_a_minute_and_no_more_memory_than_a_hundred(tmp_path):
    first = _write_large_bundle(tmp_path, np.random.default_rng(0))
    (tmp_path / "board.toml").write_text(_BOARD)
    rules = f"--rules={tmp_path / 'board.toml'}"
    peaks = {}
    for count in (100, _BUNDLES):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            shutil.copy(first, folder / f"{number:04}.zip")
        before = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "results.audit", folder, "--nomodels", "--brief", rules],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - before
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        assert done.stdout.count(": consistent") == 2 * count
        # The largest of the processes so far; the second time there are ten times as many bundles.
        peaks[count] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        print(f"{count:,} bundles: {seconds:.1f} seconds, {peaks[count] / 1e6:.0f} MB")
    assert seconds < 60
    assert peaks[_BUNDLES] < 1.25 * peaks[100]
