"""The configuration of an earlier run, from its `config.json` or `record.json`.

python -m benchmarks.train --config=benchmarks/configs/from_json.py:RUN/config.json --workdir=DIR
"""

from pathlib import Path

from ml_collections import ConfigDict

from benchmarks import config as config_lib


def get_config(path: str) -> ConfigDict:
    return config_lib.load(Path(path))
