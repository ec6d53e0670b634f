"""Parts of a suite, each done by a command of its own."""

import pytest

from benchmarks.errors import ConfigError
from benchmarks.launch import shards


def test_shards_cover_every_run_once():
    items = list("abcdefg")
    parts = [shards.Shard(index, 3).of(items) for index in range(3)]
    assert parts == [list("adg"), list("be"), list("cf")]
    assert shards.Shard().of(items) == items


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "a/b", "0/0", "1/2/3"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="--shard is i/n"):
        shards.parse(text)


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        ({}, (0, 1)),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}, (3, 8)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "14",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "10",
                "SLURM_ARRAY_TASK_STEP": "2",
            },
            (2, 4),
        ),
        (
            {
                "SLURM_ARRAY_TASK_ID": "5",
                "SLURM_ARRAY_TASK_COUNT": "1",
                "SLURM_ARRAY_TASK_MIN": "5",
                "ISOBUDGET_SHARDS": "8",
            },
            (5, 8),
        ),
        ({"JOB_COMPLETION_INDEX": "1", "ISOBUDGET_SHARDS": "2"}, (1, 2)),
        ({"JOB_COMPLETION_INDEX": "1", "JOB_COMPLETION_COUNT": "3"}, (1, 3)),
        ({"JOB_COMPLETION_INDEX": "1"}, (0, 1)),
    ],
)
def test_schedulers_say_the_shard(environment, shard):
    assert shards.from_environment(environment) == shards.Shard(*shard)


@pytest.mark.parametrize("variables", [{"SLURM_ARRAY_TASK_ID": "7"}, {"SLURM_ARRAY_TASK_ID": "x"}])
def test_an_environment_that_makes_no_shard_is_refused(variables):
    with pytest.raises(ConfigError, match="SLURM_ARRAY_TASK_ID"):
        shards.from_environment(variables | {"SLURM_ARRAY_TASK_COUNT": "2"})
