"""What --help prints: every command lists all of its flags, and explains each and itself in whole sentences."""

import importlib
import sys

import pytest
from absl import app, flags

from isobudget.__main__ import COMMANDS

MODULES = [module for module, _ in COMMANDS.values()]


@pytest.fixture
def helped(command_here, monkeypatch):
    """Asks a command for help and returns (the flags that it has, the names of those that it lists)."""

    def ask(module):
        app.define_help_flags()  # which are defined once in a process, and are no command's own
        before = set(flags.FLAGS)
        asked = []

        def usage(*_, **__):
            listed = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
            own = [flags.FLAGS[name] for name in sorted(set(flags.FLAGS) - before)]
            asked.append((own, {flag.name for flag in listed}))

        monkeypatch.setattr(app, "usage", usage)
        command_here(module, "--help")
        return asked[0]

    return ask


def explanation(flag):
    """Returns a flag's help without what absl adds: `<table|csv>: ` before it, `;\\n repeat this ...` behind it."""
    text = flag.help.partition(">: ")[2] if flag.help.startswith("<") else flag.help
    return text.partition(";\n")[0]


def is_prose(text):
    return text[:1].isupper() and text.endswith(".") and len(text.split()) >= 4


@pytest.mark.parametrize("module", MODULES)
def test_every_flag_is_listed_and_explained_in_whole_sentences(helped, module):
    own, listed = helped(module)
    assert own
    assert {flag.name for flag in own} - listed == set()
    texts = {flag.name: explanation(flag) for flag in own}
    assert {name: text for name, text in texts.items() if not is_prose(text)} == {}


@pytest.mark.parametrize("module", MODULES)
def test_a_command_says_what_it_does_in_one_sentence_and_shows_an_example(module):
    command = importlib.import_module(module)
    if hasattr(command, "__path__"):
        command = importlib.import_module(f"{module}.__main__")
    assert is_prose(command.__doc__.splitlines()[0])
    assert f"python -m {module} " in command.__doc__
