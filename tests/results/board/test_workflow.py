"""The workflow with which a repository is a board: its steps' own commands, run in a repository made for the test."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from isobudget.paths import cache_folder
from results import board, records
from results.page import document

ROOT = Path(__file__).parents[3]
RUN = ROOT / "results" / "published" / "digits" / "runs" / "resnet50-seed0"
URL = "https://example.org/digits"


class Repository:
    """A clone of a board's repository, and the machine that runs its workflow.

    Attributes:
      path: of the clone.
      summary: what the job's summary says.
      site: where the pages are built.
    """

    def __init__(self, folder: Path):
        self._folder, self.path = folder, folder / "clone"
        self.site = folder / "runner" / "site"
        for name in ("home", "runner", "bin"):
            (folder / name).mkdir()
        self._program("python", f'PYTHONPATH="{ROOT}" exec "{sys.executable}" "$@"')
        self._program("pip", 'echo "$@" >> "$RUNNER_TEMP/installed"')
        self._environment = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(cache_folder() or folder),
            "RUNNER_TEMP": str(folder / "runner"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        }
        self.git(
            "init", "--quiet", "--bare", "--initial-branch=main", folder / "origin", cwd=folder
        )
        self.git("clone", "--quiet", folder / "origin", self.path, cwd=folder)
        self.git("switch", "--quiet", "--create", "main")

    def _program(self, name: str, line: str) -> None:
        path = self._folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    @property
    def summary(self) -> str:
        return (self._folder / "summary").read_text()

    def git(self, *arguments, cwd=None) -> str:
        who = ("-c", "user.name=Ada Lovelace", "-c", "user.email=ada@example.org")
        done = subprocess.run(
            ["git", *who, *map(str, arguments)],
            cwd=cwd or self.path,
            env=self._environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def propose(self, branch: str, files: dict[str, bytes]) -> None:
        """Makes a branch that adds or changes these files."""
        self.git("switch", "--quiet", "--create", branch, "main")
        for name, content in files.items():
            (self.path / name).parent.mkdir(exist_ok=True, parents=True)
            (self.path / name).write_bytes(content)
        self.commit(f"Submit {branch}")

    def merge(self, branch: str) -> None:
        self.git("switch", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "--message", f"Merge {branch}", branch)
        self.git("push", "--quiet", "origin", "main")

    def run(self, job: str) -> tuple[int, str]:
        """Runs the commands of a job's steps until one fails; returns its status, and all that was printed."""
        workflow = yaml.safe_load((self.path / ".github/workflows/board.yml").read_text())
        known = {
            "github.event.pull_request.base.sha": self.git("rev-parse", "main").strip(),
            "steps.pages.outputs.base_url": URL,
        }
        (self._folder / "summary").write_text("")
        printed = ""
        for step in workflow["jobs"][job]["steps"]:
            if "run" not in step:
                continue
            environment = {**workflow["env"], "AUDIT_FLAGS": "--nomodels"}
            for name, value in step.get("env", {}).items():
                environment[name] = re.sub(
                    r"\$\{\{ (.*?) \}\}", lambda matched: known[matched[1]], value
                )
            script = self._folder / "step.sh"
            script.write_text(step["run"])
            done = subprocess.run(
                ["bash", "-e", script],
                cwd=self.path,
                env=self._environment | environment,
                check=False,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            printed += done.stdout
            if done.returncode:
                return done.returncode, printed
        return 0, printed


@pytest.fixture
def repository(tmp_path, rules_text) -> Repository:
    """A repository that is a board without bundles."""
    made = Repository(tmp_path)
    (tmp_path / "rules.toml").write_text(rules_text)
    board.create(made.path, tmp_path / "rules.toml", workflow=True)
    (made.path / "requirements.txt").write_text("isobudget\n")
    made.commit("Begin a board")
    made.git("push", "--quiet", "--set-upstream", "origin", "main")
    return made


def _forged(change) -> bytes:
    record = records.read(RUN / "record.json")
    metrics = dataclasses.replace(record.metrics, test={**record.metrics.test, "top1": 0.999})
    return change("resnet50-seed0", metrics=metrics).read_bytes()


def test_a_bundle_is_audited_in_its_pull_request_and_published_once_it_is_merged(
    repository, bundle
):
    files = {"submissions/resnet50.zip": bundle("resnet50-seed0").read_bytes()}
    repository.propose("resnet50", files)
    status, printed = repository.run("audit")
    assert status == 0, printed
    lines = repository.summary.splitlines()
    assert "    submissions/resnet50.zip: consistent" in lines
    assert all(line.startswith("    ") for line in lines)
    repository.git("clean", "--quiet", "--force", "-d")  # the machine of a job is its own

    repository.merge("resnet50")
    status, printed = repository.run("publish")
    assert status == 0, printed
    held = board.load(repository.path)
    (entry,) = held.entries
    assert entry.accepted.by == "Ada Lovelace"
    assert f"{URL}/rows/" in (repository.site / "feed.xml").read_text()
    assert (repository.site / "bundles" / f"{entry.digest}.zip").is_file()
    pushed = repository.git("ls-tree", "-r", "--name-only", "origin/main").splitlines()
    assert f"bundles/{entry.digest}/audit.json" in pushed
    assert not any(name.startswith("submissions/") for name in pushed)

    commits = repository.git("rev-list", "--count", "main")
    assert repository.run("publish")[0] == 0
    assert repository.git("rev-list", "--count", "main") == commits  # nothing new was merged


def test_a_forged_bundle_fails_its_pull_request_and_has_no_row_if_it_is_merged_all_the_same(
    repository, change
):
    repository.propose("forged", {"submissions/forged.zip": _forged(change)})
    status, printed = repository.run("audit")
    assert status == 1
    assert "submissions/forged.zip: refused" in printed
    assert re.search("^ {8}contradicted b metrics.test.top1", repository.summary, re.MULTILINE)
    repository.git("clean", "--quiet", "--force", "-d")

    repository.merge("forged")
    status, printed = repository.run("publish")
    assert status == 0, printed
    assert "::warning::submissions/forged.zip was merged and is not accepted" in printed
    assert board.load(repository.path).entries == ()
    assert list(repository.site.glob("rows/*")) == []
    assert not (repository.path / "submissions").exists()


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"submissions/a.zip": b"", "board.toml": b"title = 1"}, "change nothing else"),
        ({"submissions/a.zip": b"", ".github/workflows/x.yml": b""}, "change nothing else"),
        ({"bundles/x/audit.json": b"{}"}, "Bundles come by submissions"),
        ({"submissions/a.txt": b"x"}, "Bundles come by submissions"),
        ({"submissions/-rf .zip": b"x"}, "Bundles come by submissions"),
        ({"submissions/\u00e9.zip": b"x"}, "Bundles come by submissions"),
    ],
)
def test_a_pull_request_that_brings_more_than_bundles_fails_before_anything_is_run(
    repository, files, why
):
    repository.propose("more", files)
    status, printed = repository.run("audit")
    assert (status, why in printed) == (1, True)
    assert not (repository.site.parent / "installed").exists()


def test_a_pull_request_that_changes_rules_alone_passes(repository, rules_text):
    changed = rules_text.replace("8000", "9000").encode()
    repository.propose("rules", {"board.toml": changed})
    status, printed = repository.run("audit")
    assert status == 0, printed
    assert (repository.site.parent / "installed").read_text() == "install -r requirements.txt\n"


def test_the_workflow_grants_strangers_nothing_and_puts_none_of_their_text_into_a_script():
    text = document.asset("board.yml", "results.board")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"pull_request", "push", "workflow_dispatch"}  # "on" in YAML 1.1
    assert "permissions" not in workflow["jobs"]["audit"]
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            assert ("run" in step) != ("uses" in step)
    assert "secrets" not in text
