"""How every command reads flags and tells mistakes."""

import errno
import os
import shlex
import subprocess
import sys

import pytest
from absl import flags

from isobudget import command, plugins
from isobudget.errors import UserError


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command with these arguments and returns (exit status, standard output, standard error)."""

    def run(main, *arguments, define_flags=lambda: None, **options):
        monkeypatch.setattr(sys, "argv", ["command", *arguments])
        monkeypatch.setattr(plugins, "load_installed", lambda: None)
        monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)  # put back afterwards
        before = set(flags.FLAGS)
        try:
            with pytest.raises(SystemExit) as ended:
                command.run(main, define_flags, **options)
        finally:
            for name in set(flags.FLAGS) - before:
                delattr(flags.FLAGS, name)
        return ended.value.code, *capsys.readouterr()

    return run


def size():
    flags.DEFINE_integer("size", 3, "How large it is, in pixels.", lower_bound=1)


def show():
    print(flags.FLAGS.size)


def test_the_status_is_what_the_command_returns_and_0_for_nothing(run):
    assert run(lambda: 7) == (7, "", "")
    assert run(lambda: None) == (0, "", "")


def test_flags_are_read_before_the_command_runs(run):
    assert run(show, "--size=5", define_flags=size) == (0, "5\n", "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--size=0"], "size"),
        (["--size=large"], "size"),
        (["--siz=5"], "Did you mean: size"),
        (["extra"], "there is no argument 'extra'; see --help."),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence_and_status_2(run, arguments, sentence):
    status, out, told = run(show, *arguments, define_flags=size)
    assert (status, out) == (2, "")
    assert told.startswith("error: ")
    assert sentence in told
    assert told.count("\n") == 1


@pytest.fixture
def flag_file(tmp_path):
    return tmp_path / "flags.txt"


def test_flags_may_stand_in_a_file_plugins_too(run, flag_file, monkeypatch):
    imported = []
    monkeypatch.setattr(plugins, "load", lambda names, where: imported.extend(names))
    flag_file.write_text("--plugins=my_models\n--size=5\n")

    def define():
        size()
        plugins.define_flag()

    assert run(show, f"--flagfile={flag_file}", define_flags=define) == (0, "5\n", "")
    assert imported == ["my_models"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"--size=\xff", "the file is no text in UTF-8"),
        (b"--siz=5", "Unknown command line flag 'siz'"),
    ],
)
def test_a_file_of_flags_that_cannot_be_read_is_one_sentence(run, flag_file, content, reason):
    if content is not None:
        flag_file.write_bytes(content)
    status, out, told = run(show, f"--flagfile={flag_file}", define_flags=size)
    assert (status, out, told.count("\n")) == (2, "", 1)
    assert reason in told


def test_a_users_mistake_is_one_sentence_and_status_2(run):
    def main():
        raise UserError("there is no model 'resnet5'.")

    assert run(main) == (2, "", "error: there is no model 'resnet5'.\n")


def test_a_bug_is_a_traceback(run, monkeypatch):
    def main():
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(ZeroDivisionError):
        command.run(main, lambda: None)


@pytest.mark.parametrize(("message", "is_shown"), [("Event loop is closed", False), ("odd", True)])
def test_what_threads_report_to_a_loop_that_an_error_ended_is_not_shown(run, message, is_shown):
    class Noisy:
        def __del__(self):
            raise RuntimeError(message)

    _, _, err = run(lambda: Noisy() and None)
    assert (message in err) == is_shown


def test_ctrl_c_says_how_to_go_on(run):
    def main():
        raise KeyboardInterrupt

    assert run(main, interrupted="the same command goes on") == (
        130,
        "",
        "the same command goes on\n",
    )


def test_help_is_no_mistake_and_lists_the_flags(run):
    status, out, told = run(show, "--help", define_flags=size)
    assert (status, told) == (0, "")
    assert out.startswith("How every command reads flags and tells mistakes.\n")
    assert out.endswith("Flags:\n\n  --size=SIZE\n      How large it is, in pixels. Default: 3.\n")


def test_arguments_are_handed_on_where_a_command_takes_them(run):
    assert run(print, "a", "--size=2", "b", define_flags=size, takes_arguments=True) == (
        *(0, "['a', 'b']\n", ""),
    )


SHOW = """
import sys
from isobudget import command, terminal
def main():
    console = terminal.console()
    for _ in range(int(sys.argv[1])):
        terminal.print_table(console, terminal.columns(["model", "top-1"]), [("\\u732b", "99.17 \xb1 1.20")])
    {last}
command.run(lambda rest: main(), lambda: None, takes_arguments=True)
"""


def shown(times, last="", **options):
    command_line = [sys.executable, "-c", SHOW.format(last=last), str(times)]
    return subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


@pytest.mark.parametrize("last", ["", "print('the end' * 100_000)"])
def test_a_reader_that_has_seen_enough_ends_a_command_quietly(last):
    with shown(10_000, last) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == command.PIPE_STATUS


def test_the_last_lines_find_their_reader_gone_quietly_too():
    with shown(1) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == command.PIPE_STATUS


FULL = "/dev/full"
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="only Linux has /dev/full")


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("times", [1, 10_000])
def test_an_output_that_cannot_be_written_is_one_sentence_and_status_1(times, unbuffered):
    command_line = [sys.executable, "-c", SHOW.format(last=""), str(times)]
    with open(FULL, "w") as full:
        done = subprocess.run(
            command_line,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 1
    reason = os.strerror(errno.ENOSPC)
    assert done.stderr == f"error: the standard output cannot be written: {reason}.\n"


@needs_full
def test_the_list_of_commands_too():
    with open(FULL, "w") as full:
        command_line = [sys.executable, "-m", "isobudget"]
        done = subprocess.run(command_line, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)


def test_an_output_that_is_closed_is_nowhere():
    command_line = [sys.executable, "-c", SHOW.format(last=""), "1"]
    line = " ".join(map(shlex.quote, command_line))
    done = subprocess.run(["sh", "-c", f"{line} >&-"], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_elsewhere_is_not_the_outputs(run):
    def main():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        command.printed(main)


def test_another_broken_pipe_is_a_bug_and_a_traceback(run, monkeypatch):
    def main():
        raise BrokenPipeError

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(BrokenPipeError):
        command.run(main, lambda: None)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_encoding_shows_everything_and_keeps_columns_straight(encoding):
    with shown(1, env=os.environ | {"PYTHONIOENCODING": encoding}) as process:
        lines = process.communicate()[0].decode(encoding).splitlines()
        assert process.returncode == 0
    header, _, row = (line.rstrip() for line in lines[:3])
    assert ("\u732b" if encoding == "utf-8" else "\\u732b") in row
    assert ("99.17 +- 1.20" if encoding == "ascii" else "99.17 \xb1 1.20") in row
    if encoding != "utf-8":
        assert len(header) == len(row)
