"""A process that is asked one thing and answers it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from benchmarks.machine import child

_PROGRAM = """
import os, sys
print("what an import prints")
from benchmarks.machine import child
from isobudget.errors import UserError

def respond(request):
    print("what a library prints")
    os.write(1, b"what a library of C's prints")
    {body}

child.answer(respond)
assert "jax" not in sys.modules
"""


@pytest.fixture
def ask(tmp_path):
    """Asks a process whose answer is made by these lines of Python."""

    def ask(body, **request):
        path = tmp_path / "program.py"
        path.write_text(_PROGRAM.format(body=body))
        return child.ask([str(path)], request, "the program")

    return ask


def test_it_answers_the_request_whatever_else_is_printed(ask, tmp_path, capfd):
    assert ask("return {'twice': 2 * request['number']}", number=21) == {"twice": 42}
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "what a library of C's prints" in printed.err


def test_a_reason_why_there_is_no_answer_is_one_sentence(ask):
    with pytest.raises(child.ChildError, match=r"^there is no such device\.$") as raised:
        ask("raise UserError('there is no such device.')")
    assert raised.value.status == 1


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("os.kill(os.getpid(), 9)", "killed, as it is where a machine has no memory left"),
        ("os.kill(os.getpid(), 11)", "by signal 11"),
        ("1 / 0", "with exit status 1"),
    ],
)
def test_a_process_that_ends_without_an_answer_is_one_sentence(ask, body, how):
    with pytest.raises(child.ChildError, match=rf"^the program ended without an answer, {how}\.$"):
        ask(body)


def test_an_answer_that_nobody_waits_for_is_no_traceback(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(_PROGRAM.format(body="return {}"))
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, str(path)],
        input="{}\n",
        text=True,
        capture_output=True,
        env=os.environ | {"ISOBUDGET_ANSWERS": str(writing)},
        pass_fds=(writing,),
        process_group=0,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")


def _runs(process):
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_after_ctrl_c_the_process_is_gone_and_says_nothing(tmp_path):
    (tmp_path / "program.py").write_text(
        "import os, time; print(os.getpid(), file=open('started', 'w'), flush=True); time.sleep(60)"
    )
    asking = "from benchmarks.machine import child; child.ask(['program.py'], {}, 'it')"
    # Ctrl-C is ignored where the tests run in the background.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = f"{heard}\ntry:\n    {asking}\nexcept KeyboardInterrupt:\n    print('stopped')"
    process = subprocess.Popen(
        [sys.executable, "-c", command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    started = tmp_path / "started"
    while not (started.exists() and started.read_text().endswith("\n")):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60) == ("stopped\n", None)
    deadline = time.monotonic() + 10
    while _runs(int(started.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_ends_with_the_process_that_asks_even_in_the_middle_of_an_answer(tmp_path):
    (tmp_path / "program.py").write_text(
        "import os, time; from benchmarks.machine import child\n"
        "print(os.getpid(), file=open('started', 'w'), flush=True)\n"
        "child.answer(lambda request: time.sleep(600))"
    )
    asking = "from benchmarks.machine import child; child.ask(['program.py'], {}, 'it')"
    process = subprocess.Popen([sys.executable, "-c", asking], cwd=tmp_path)
    started = tmp_path / "started"
    while not (started.exists() and started.read_text().endswith("\n")):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while _runs(int(started.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_packages_of_the_folder_that_it_is_started_from_are_not_taken_for_these(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "program.py").write_text(
        "from benchmarks.machine import child; child.answer(lambda request: {})"
    )
    asking = "from benchmarks.machine import child; print(child.ask(['program.py'], {}, 'it'))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", asking],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "{}\n", done.stderr
