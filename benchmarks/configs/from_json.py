"""The configuration of an earlier run, from its `config.json` or `record.json`.

python -m benchmarks.train --config=benchmarks/configs/from_json.py:RUN/config.json --workdir=DIR
"""

from pathlib import Path

from ml_collections import ConfigDict

from benchmarks.config import stored


def get_config(path: str) -> ConfigDict:
    return stored.load(Path(path))
