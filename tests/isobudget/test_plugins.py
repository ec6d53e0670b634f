"""Modules of other people: found, imported once, described, and told in one sentence where they cannot be."""

import hashlib
import re
import sys

import pytest

from isobudget import plugins
from isobudget.errors import PluginError, UserError


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that can be imported, and forgets it afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins, "_loaded", {})
    before = set(sys.modules)

    def write(name: str, text: str):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        return path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_plug_in_is_imported_once_and_described_by_its_source(module, capsys):
    path = module("plugin_a", "print('imported')\n")
    plugins.load(["plugin_a"])
    plugins.load(["plugin_a"])
    assert capsys.readouterr().out == "imported\n"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert plugins.loaded() == (plugins.Plugin("plugin_a", None, None, digest),)


def test_a_module_of_an_installed_package_has_its_version(module):
    plugins.load(["absl.logging"])
    (plugin,) = plugins.loaded()
    assert plugin.package == "absl-py"
    assert re.match(r"\d+\.\d+", plugin.version)


def refused(names, sentence, wanted_by=""):
    with pytest.raises(UserError) as error:
        plugins.load(names, wanted_by)
    assert re.fullmatch(r"[^\n]+\.", str(error.value))
    assert re.search(sentence, str(error.value))
    return error


def test_a_missing_plug_in_is_one_sentence_that_says_who_wants_it(module):
    error = refused(
        ["nobodys_net"],
        "no module nobodys_net here.*runs/a/record.json names",
        "runs/a/record.json",
    )
    assert error.type is PluginError
    refused(["nobodys.net"], "no module nobodys.net here: the plug-in is not installed")


def test_what_a_plug_in_lacks_itself_is_told_with_the_line(module):
    module("plugin_b", "import math\nimport nobodys_library\n")
    refused(
        ["plugin_b"], r"plugin_b cannot be imported: ModuleNotFoundError: .*plugin_b.py, line 2\)"
    )


def test_a_plug_in_that_fails_is_told_with_the_line_and_can_be_mended(module):
    path = module("plugin_c", "1 / 0\n")
    refused(["plugin_c"], r"ZeroDivisionError: division by zero \(.*plugin_c.py, line 1\)")
    path.write_text("answer = 42\n# longer than before\n")
    plugins.load(["plugin_c"])
    assert sys.modules["plugin_c"].answer == 42


def test_what_a_registry_says_of_a_plug_in_is_told_as_it_is(module):
    module(
        "plugin_d",
        "import models\n"
        "from models.alexnet import alexnet\n"
        "models.register('alexnet', family='mine', paper=models.Paper('Mine', None, 2026), min_size=63)(alexnet)\n",
    )
    refused(["plugin_d"], "there is a model 'alexnet' already")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--plugins=one,two", "--other=three"],
        ["--plugins", "one,two"],
        ["-plugins=one, two,"],
        ["--plugins=zero", "--plugins=one,two"],
    ],
)
def test_the_command_line_names_plug_ins_as_absl_reads_it(arguments):
    assert plugins._named(arguments) == ["one", "two"]


def test_flags_end_at_two_dashes():
    assert plugins._named(["--", "--plugins=one"]) == []
