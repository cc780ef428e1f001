"""What both command lines promise: exit codes, one line for an error, and how a signal ends them."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable

import pytest
from S2LDMLib.commands import console
from S2LDMLib.commands.console import Bar, StopOnSignal, common_options, run_command
from S2LDMLib.errors import Cancelled, DownloadError, InputError, S2LDMError, S2LDMWarning

Command = Callable[[argparse.Namespace, Callable[[], bool]], int]
Capsys = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("restored")


def run(command: Command, *argv: str) -> int:
    parser = argparse.ArgumentParser(prog="tool")
    commands = parser.add_subparsers(required=True)
    commands.add_parser("work", parents=[common_options()]).set_defaults(command=command)
    return run_command(parser, ["work", *argv])


def failing(error: BaseException) -> Command:
    def command(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
        raise error

    return command


# Exit codes and messages


@pytest.mark.parametrize("code", [0, 3])
def test_a_commands_own_exit_code_is_returned_in_silence(capsys: Capsys, code: int) -> None:
    assert run(lambda args, should_cancel: code) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [(S2LDMError, 1), (DownloadError, 1), (InputError, 2), (Cancelled, 130)],
)
def test_an_error_is_one_line_and_its_exit_code(capsys: Capsys, error: type[S2LDMError], code: int) -> None:
    assert run(failing(error("It broke.\n  Here:\tthere.\n"))) == code
    assert capsys.readouterr() == ("", "tool: It broke. Here: there.\n")


def test_an_error_of_the_program_itself_names_its_kind_and_the_way_to_see_more(capsys: Capsys) -> None:
    assert run(failing(ValueError("odd"))) == 1
    assert capsys.readouterr().err == "tool: ValueError: odd (run again with --debug to see where)\n"


def test_debug_adds_the_traceback_above_the_line(capsys: Capsys) -> None:
    assert run(failing(InputError("It broke. Mend it.")), "--debug") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback") and lines[-1] == "tool: It broke. Mend it."


def test_an_interrupt_within_the_work_is_a_cancellation(capsys: Capsys) -> None:
    assert run(failing(KeyboardInterrupt())) == 130
    assert (said := capsys.readouterr().err).startswith("tool: Cancelled") and said.count("\n") == 1


@pytest.mark.parametrize("argv", [["--unknown"], ["stray"]])
def test_bad_usage_ends_with_exit_code_2(capsys: Capsys, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda args, should_cancel: 0, *argv)
    assert ended.value.code == 2
    assert argv[0] in capsys.readouterr().err


def test_warnings_of_ours_are_one_line_and_those_of_libraries_are_hidden(capsys: Capsys) -> None:
    def command(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
        warnings.simplefilter("always")
        warnings.warn("Look at this.", S2LDMWarning, stacklevel=1)
        warnings.warn("about our insides", DeprecationWarning, stacklevel=1)
        return 0

    assert run(command) == 0
    assert capsys.readouterr() == ("", "tool: warning: Look at this.\n")


# Signals

WORK = """
import argparse, sys, time
from S2LDMLib.commands.console import common_options, run_command
from S2LDMLib.errors import Cancelled

def patient(args, should_cancel):  # looks between pieces of work
    print("working", flush=True)
    while not should_cancel():
        time.sleep(0.01)
    raise Cancelled("Stopped at a safe point; go on with --resume.")

def stubborn(args, should_cancel):  # is in the midst of one long piece
    print("working", flush=True)
    told = 0
    for _ in range(6000):
        time.sleep(0.01)
        if should_cancel() and told < 2:
            print(("asked", "still at work")[told], flush=True)
            told += 1
    return 0

parser = argparse.ArgumentParser(prog="tool")
parser.set_defaults(command=globals()[sys.argv[1]], debug=False)
sys.exit(run_command(parser, []))
"""


def start(work: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORK, work]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "working\n"
    return process


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a process of its own")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_the_work_to_stop(number: signal.Signals) -> None:
    process = start("patient")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr == "tool: Stopped at a safe point; go on with --resume.\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a process of its own")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_does_not_break_the_work_and_the_second_ends_it(number: signal.Signals) -> None:
    process = start("stubborn")
    process.send_signal(number)
    assert process.stdout.readline() == "asked\n"
    assert process.stdout.readline() == "still at work\n"
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr.startswith("tool: Cancelled") and stderr.count("\n") == 1


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    made: list[StopOnSignal] = []
    thread = threading.Thread(target=lambda: made.append(StopOnSignal()))
    thread.start()
    thread.join()
    assert made and not made[0]()
    assert signal.getsignal(signal.SIGTERM) is before


# A bar that nobody watches


def test_a_bar_in_a_log_is_lines_and_none_is_drawn_over(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "QUIET_INTERVAL_S", 0.0)
    bar = Bar(10, "stage ")
    bar.show(5, "5/10")
    Bar.write("a word in between")
    bar.show(10, "10/10")
    bar.close()
    lines = capsys.readouterr().err.split("\n")
    assert lines[0].endswith(" 50%  stage 5/10") and lines[1] == "a word in between"
    assert lines[-2].endswith("100%  stage 10/10") and lines[-1] == ""
    assert not any("\r" in line for line in lines)
