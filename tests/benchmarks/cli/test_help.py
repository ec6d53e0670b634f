"""What --help prints: every command lists all of its flags, and explains each and itself in whole sentences."""

import importlib
import re

import pytest

from isobudget.__main__ import COMMANDS

MODULES = [module for module, _ in COMMANDS.values()]


@pytest.fixture
def helped(command_here):
    """Asks a command for help and returns what it says of each of its flags, by name."""

    def ask(module):
        done = command_here(module, "--help")
        assert done.returncode == 0
        _, _, listed = done.stdout.partition("\nFlags:\n\n")
        # `  --name=NAME`, or --[no]name, and below it the text, indented further.
        parts = re.split(r"^  --(?:\[no\])?(\w+).*$", listed, flags=re.MULTILINE)
        return {
            name: " ".join(text.split())
            for name, text in zip(parts[1::2], parts[2::2], strict=True)
        }

    return ask


def is_prose(text):
    return text[:1].isupper() and text.endswith(".") and len(text.split()) >= 4


@pytest.mark.parametrize("module", MODULES)
def test_every_flag_is_listed_and_explained_in_whole_sentences(helped, module):
    texts = helped(module)
    assert texts
    if module.startswith("benchmarks."):
        assert "plugins" in texts
    assert {name: text for name, text in texts.items() if not is_prose(text)} == {}


@pytest.mark.parametrize("module", MODULES)
def test_a_command_says_what_it_does_in_one_sentence_and_shows_an_example(module):
    command = importlib.import_module(module)
    if hasattr(command, "__path__"):
        command = importlib.import_module(f"{module}.__main__")
    assert is_prose(command.__doc__.splitlines()[0])
    assert f"python -m {module} " in command.__doc__
