"""Whatever a stranger's bundle holds, it is refused in one sentence, and nothing is written or followed."""

import io
import json
import os
import pickle
import random
import shutil
import stat
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from results import RecordError
from results.audit import submission
from results.bundles import arrays, write

_RUN = (
    Path(__file__).parents[3] / "results" / "published" / "digits" / "runs" / "squeezenet1_1-seed0"
)
_PREFIX = f"runs/{_RUN.name}/"
_RECORD, _TEST = f"{_PREFIX}record.json", f"{_PREFIX}predictions/test.npz"
_LOG = f"{_PREFIX}metrics.jsonl"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A sound bundle, which no test changes."""
    path = tmp_path_factory.mktemp("bundle") / "sound.zip"
    write.write([_RUN], path)
    return path


@pytest.fixture
def problem(bundle, tmp_path, monkeypatch) -> Callable[..., str]:
    """Returns a function from what is changed of a sound bundle to the sentence that refuses it.

    It takes entries to add, (name or `ZipInfo`, content), and contents to put in place of others, by name.
    """
    (tmp_path / "within").mkdir()
    monkeypatch.chdir(tmp_path / "within")

    def refused(added=(), replaced=None) -> str:
        path = tmp_path / "within" / "hostile.zip"
        with zipfile.ZipFile(bundle) as sound, zipfile.ZipFile(path, "w", 8) as archive:
            for name in sound.namelist():
                archive.writestr(name, (replaced or {}).get(name, sound.read(name)))
            for entry, data in added:
                archive.writestr(entry, data)
        sentence = submission.audit(path).problem
        assert sentence.isprintable()
        assert [each.name for each in (tmp_path / "within").iterdir()] == ["hostile.zip"]
        return sentence

    return refused


@pytest.mark.parametrize(
    "name",
    ["../outside.json", "/etc/passwd", "runs/../../x", "C:\\x", "~/x", "runs//record.json", "."],
)
def test_a_name_that_leads_outside(problem, name):
    assert "leads out of the bundle" in problem([(name, b"x")])


def test_a_link(problem):
    entry = zipfile.ZipInfo(f"{_PREFIX}class_names.json")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    without = [(entry, b"/etc/passwd")]
    with pytest.warns(UserWarning, match="Duplicate"):
        assert "twice" in problem(without)
    entry.filename = entry.orig_filename = f"{_PREFIX}progress.jsonl"
    assert "is a link" in problem(without)


def test_a_link_in_a_folder_is_not_followed(tmp_path):
    run = Path(shutil.copytree(_RUN, tmp_path / "run"))
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to("/dev/zero")
    (run / "predictions" / "test.npz").unlink()
    os.mkfifo(run / "predictions" / "test.npz")
    audited = submission.audit(run)
    assert not audited.problem
    assert {claim.name for claim in audited.runs[0].claims if claim.verdict == "not checked"} >= {
        "log", "metrics.test.top1",
    }  # fmt: skip


def test_a_name_twice_also_in_other_case(problem):
    assert "twice" in problem([(_RECORD.replace("squeeze", "SQUEEZE"), b"{}")])


def test_a_bomb(problem):
    assert "it is a bomb" in problem([(f"{_PREFIX}progress.jsonl", b" " * (8 << 20))])
    assert "has more than" in problem([(f"{_PREFIX}progress.jsonl", b" " * (17 << 20))])


def test_a_bomb_among_the_arrays():
    held = io.BytesIO()
    np.savez_compressed(held, loss=np.zeros(1 << 17))
    with pytest.raises(RecordError, match=r"'test\.npz' unpacks to more than 1,000,000 bytes"):
        arrays.read(held.getvalue(), "test.npz", most_bytes=1_000_000)


def test_an_array_that_says_that_it_is_huge(problem):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,), }\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("loss.npy", data)
    assert "whose shape is not that of its bytes" in problem(replaced={_TEST: held.getvalue()})


def test_a_shape_of_many_digits_is_refused_at_once(problem):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"1" * 300 + b"x), }\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("loss.npy", data)
    before = time.perf_counter()
    assert "no plain array of numbers" in problem(replaced={_TEST: held.getvalue()})
    assert time.perf_counter() - before < 2


class _Opened:
    """A pickle that would leave a file behind."""

    def __reduce__(self):
        return open, ("opened", "w")


def test_a_pickle(problem):
    held = io.BytesIO()
    np.savez(held, label=np.array([_Opened()], object))
    assert "no plain array of numbers" in problem(replaced={_TEST: held.getvalue()})
    assert "damaged" in problem(replaced={_TEST: pickle.dumps(_Opened())})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"loss": NaN}', "the bare word NaN"),
        ('{"loss": -Infinity}', "the bare word -Infinity"),
        ('{"loss": 1e999}', "a number that is too large"),
        ('{"seed": ' + "9" * 5000 + "}", "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 70 + "]" * 70, "nested too deeply"),
        ('{"a": 1, "a": 2}', "has the key 'a' twice"),
        ('{"command": "\\u001b[2J"}', "a control character"),
        ('{"command": "\u202egpj"}', "a control character"),
        ('{"command": "\\ud800"}', "a control character"),
        ('{"command": "<script>alert(1)</script>"}', "holds HTML"),
        ('{"<img src=x>": 1}', "holds HTML"),
        ("{", "is not JSON"),
        ("\xff", "is not"),
        ("[]", ""),
        ("", "is not JSON"),
    ],
)
def test_json_that_no_record_has(problem, text, said):
    sentence = problem(replaced={_RECORD: text.encode()})
    assert sentence
    assert said in sentence


def test_text_fields_of_all_files_are_looked_at(problem):
    tag = '"<svg/onload=x>"'
    assert "holds HTML" in problem(replaced={f"{_PREFIX}class_names.json": f"[{tag}]"})
    assert "holds HTML" in problem(replaced={_LOG: f'{{"a": {tag}}}\n'})
    assert "the bare word NaN" in problem(replaced={_LOG: '{"step": 1}\n{"loss": NaN}\n'})
    evaluation = {f"{_PREFIX}evaluations/x.json": f'{{"name": {tag}}}'}.items()
    assert "holds HTML" in problem(evaluation)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (f"{_PREFIX}evaluations/\x1b[2J.json", "cannot be printed"),
        (f"{_PREFIX}evaluations/a\u202eb.json", "cannot be printed"),
        (f"{_PREFIX}evaluations/<b>.json", "HTML"),
        (f"{_PREFIX}evaluations/{'x' * 500}.json", "more than 400 characters"),
        (f"{_PREFIX}run.py", "is no part of a bundle"),
        ("setup.py", "is no part of a bundle"),
    ],
)
def test_a_name_that_no_file_of_a_bundle_has(problem, name, said):
    assert said in problem([(name, b"{}")])


def test_no_manifest_and_no_zip(problem, tmp_path):
    path = tmp_path / "x.zip"
    for data in (b"", b"PK\x05\x06", b"x" * 1000, b"PK\x05\x06" + b"\xff" * 18):
        path.write_bytes(data)
        assert submission.audit(path).problem
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(_RECORD, "{}")
    assert "it has no manifest.json" in submission.audit(path).problem
    path.unlink()
    os.mkfifo(path)
    assert submission.audit(path).problem == "it is no file."


def test_a_manifest_of_a_newer_version(problem):
    text = json.dumps({"bundle_version": 2, "files": {}})
    assert "bundle of version 2" in problem(replaced={"manifest.json": text})


def _mutated(data: bytes, chance: random.Random) -> bytes:
    """Returns the bytes of a bundle with one mutation: of the archive, or of a file in it that is packed again."""
    if chance.random() < 0.3:
        return _mangled(data, chance)
    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as sound, zipfile.ZipFile(held, "w", 8) as archive:
        names = sound.namelist()
        victim = chance.choice(names)
        for name in names:
            content = sound.read(name)
            if name == victim:
                content = (
                    _repacked(content, chance)
                    if name.endswith(".npz") and chance.random() < 0.7
                    else _mangled(content, chance)
                )
            archive.writestr(name, content)
    return held.getvalue()


def _repacked(data: bytes, chance: random.Random) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as sound, zipfile.ZipFile(held, "w", 8) as archive:
        names = sound.namelist()
        victim = chance.choice(names)
        for name in names:
            content = sound.read(name)
            archive.writestr(name, _mangled(content, chance) if name == victim else content)
    return held.getvalue()


_TOKENS = (
    b"NaN", b"-1", b"1e999", b"null", b"[]", b"{}", b'"x"', b"true", b"9" * 400, b"[" * 2000, b"0", b"\x00", b"\xff",
    b"../", b"<script>", b"1e308", b"-0.0", b"9223372036854775808", b'"\\u0000"',
)  # fmt: skip


def _mangled(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        start = chance.randrange(len(changed) + 1)
        end = min(len(changed), start + chance.choice((0, 1, 1, 4, 40)))
        kind = chance.randrange(5)
        if kind == 0 and start < len(changed):
            changed[start] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del changed[start:end]
        elif kind == 2:
            changed[start:end] = chance.choice(_TOKENS)
        elif kind == 3:
            changed[start:start] = changed[start:end] * chance.choice((1, 2, 50))
        else:
            _replace_value(changed, chance)
    return bytes(changed)


def _replace_value(changed: bytearray, chance: random.Random) -> None:
    """Puts another value in the place of one of a JSON text, which stays JSON."""
    colons = [place for place, byte in enumerate(changed) if byte == ord(":")]
    if colons:
        start = chance.choice(colons) + 1
        end = start
        while end < len(changed) and changed[end] not in b",}\n":
            end += 1
        changed[start:end] = chance.choice(_TOKENS)


def _audit_mutated(bundle: Path, folder: Path, monkeypatch, count: int, seed: int) -> dict:
    """Audits mutated bundles; returns how many ended how, and the longest time (seconds)."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TMPDIR", str(folder))
    data, chance = bundle.read_bytes(), random.Random(seed)
    path = folder / "mutated.zip"
    ends = {"unreadable": 0, "contradicted": 0, "believed": 0, "seconds": 0.0}
    for number in range(count):
        path.write_bytes(_mutated(data, chance))
        before = time.perf_counter()
        try:
            audited = submission.audit(path)
        except Exception as error:
            raise AssertionError(
                f"mutation {number} of seed {seed} is {type(error).__name__}: {error}"
            ) from error
        ends["seconds"] = max(ends["seconds"], time.perf_counter() - before)
        if audited.problem:
            assert audited.problem.isprintable()
            ends["unreadable"] += 1
        elif audited.verdict == "contradicted":
            ends["contradicted"] += 1
        else:
            ends["believed"] += 1
        assert [each.name for each in folder.iterdir()] == ["mutated.zip"]
    return ends


def test_a_few_mutated_bundles_end_in_a_verdict_or_a_sentence(bundle, tmp_path, monkeypatch):
    ends = _audit_mutated(bundle, tmp_path, monkeypatch, count=60, seed=1)
    assert ends["unreadable"] > 10
    assert ends["seconds"] < 10


@pytest.mark.slow
def test_thousands_of_mutated_bundles_end_in_a_verdict_or_a_sentence(bundle, tmp_path, monkeypatch):
    # Ten thousand take a few minutes; ISOBUDGET_MUTATIONS is how many.
    count = int(os.environ.get("ISOBUDGET_MUTATIONS", "10000"))
    ends = _audit_mutated(bundle, tmp_path, monkeypatch, count, seed=2)
    print(ends)
    assert ends["seconds"] < 10
