"""What the two command lines, ``s2ldm`` and ``s2ldm-train``, have in common.

Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 130 cancelled, 141 nobody reads what is printed. An error is
one line on standard error.
"""

from __future__ import annotations

import argparse
import errno
import getpass
import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, S2LDMError, S2LDMWarning

if TYPE_CHECKING:
    from ..progress import Progress


CLOSED_PIPE = 141  # what a shell tells of a program that SIGPIPE ended
QUIET_INTERVAL_S = 10.0  # between the lines that a file gets instead of a bar


def add_commands(parser: argparse.ArgumentParser, package: str, names: Sequence[str]) -> None:
    """Add commands, each a module of ``package`` with ``HELP``, ``add_arguments(parser)`` and ``run``."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in names:
        command = import_module(f"{package}.{name.replace('-', '_')}")
        added = commands.add_parser(name, parents=[common_options()], help=command.HELP, description=command.HELP)
        command.add_arguments(added)
        added.set_defaults(command=command.run)


def common_options() -> argparse.ArgumentParser:
    """The parent parser of every command."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="print the traceback of an error")
    return common


def add_progress(parser: argparse.ArgumentParser) -> None:
    """How progress is shown."""
    parser.add_argument("--progress", default="bar", choices=["bar", "json", "none"])


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Parse, run ``args.command(args, should_cancel)``, explain what went wrong; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a console that cannot show a character still shows the rest
    _name_user()
    args = parser.parse_args(argv)
    stop = StopOnSignal()

    def show_warning(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: object = None,
        line: str | None = None,
    ) -> None:  # fmt: skip
        """Ours in one line; those of libraries are not for users."""
        if issubclass(category, S2LDMWarning):
            print(f"{parser.prog}: warning: {message}", file=sys.stderr)

    warnings.showwarning = show_warning
    try:
        code: int = args.command(args, stop)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read what is printed, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except (Exception, KeyboardInterrupt) as error:
        if args.debug:
            traceback.print_exc()
        message, code = explain(error)
        print(f"{parser.prog}: {' '.join(message.split())}", file=sys.stderr)
        return code


def _name_user() -> None:
    """Give a user who has none a name: libraries ask for it when they are imported, as in a container."""
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        os.environ["LOGNAME"] = "s2ldm"


def explain(error: BaseException) -> tuple[str, int]:
    """Message and exit code of whatever ended a command."""
    if isinstance(error, S2LDMError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full, and nothing was kept of what was not finished. Free some space and try again.", 1
    if isinstance(error, KeyboardInterrupt):
        return "Cancelled at once; what was not finished is not there.", Cancelled.exit_code
    return f"{type(error).__name__}: {error} (run again with --debug to see where)", 1


class StopOnSignal:
    """The first Ctrl-C or SIGTERM asks the work to stop at its next safe point; a second one ends it at once."""

    def __init__(self) -> None:
        self.asked = False
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._ask)
        except ValueError:  # not in the main thread: the caller handles signals
            pass

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __call__(self) -> bool:
        return self.asked


@contextmanager
def shown_progress(kind: str) -> Iterator[Callable[[Progress], None] | None]:
    """What shows progress: a ``bar`` on standard error, one ``json`` object a line on standard output, or ``none``."""
    with ExitStack() as bars:

        def as_json(progress: Progress) -> None:
            line = {"stage": progress.stage, "fraction": round(progress.fraction, 4), "remaining_s": progress.remaining}
            print(json.dumps(line), flush=True)

        @cache
        def bar() -> Bar:
            made = Bar(1.0)
            bars.callback(made.close)
            return made

        def as_bar(progress: Progress) -> None:
            if progress.fraction > 0:  # before, the input may still be refused, in one line
                left = "" if progress.remaining is None else f"{progress.remaining:.0f} s left"
                bar().show(progress.fraction, f"{progress.stage:<12}{left}")

        yield {"json": as_json, "bar": as_bar, "none": None}[kind]


class _Lines:
    """Standard error for a bar that is no terminal's: each state that is drawn is a line, and none is drawn over."""

    def write(self, text: str) -> None:
        if text.strip():
            print(text.strip(), file=sys.stderr, flush=True)

    def flush(self) -> None: ...


class Bar:
    """A bar on standard error that is drawn anew in its line; a file or a pipe gets a line now and then instead."""

    def __init__(self, total: float, name: str = "") -> None:
        from tqdm import tqdm  # not needed where nothing is shown

        is_terminal = sys.stderr.isatty()
        self._name = name
        self._bar: tqdm[Any] = tqdm(
            total=total, file=sys.stderr if is_terminal else _Lines(), ascii=True, delay=1e-9,
            bar_format="[{bar:30}] {percentage:3.0f}%  {desc}",
            mininterval=0.1 if is_terminal else QUIET_INTERVAL_S, dynamic_ncols=is_terminal,
        )  # fmt: skip

    def close(self) -> None:
        """Leave the bar as it is, and go on in the next line."""
        self._bar.close()

    def show(self, done: float, words: str) -> None:
        """``done`` of the total, and what to say beside it."""
        self._bar.set_description_str(f"{self._name}{words}", refresh=False)
        self._bar.update(done - self._bar.n)

    @staticmethod
    def write(line: str) -> None:
        """Write a line on standard error, above the bar."""
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)


def show_download(kind: str) -> Callable[[float, str], None]:
    """Shows the fraction of a download and the file that is fetched: ``bar``, ``json`` or ``none``."""

    @cache
    def bar() -> Bar:
        return Bar(1.0, "download ")

    def show(fraction: float, name: str) -> None:
        if kind == "json":
            print(json.dumps({"stage": "download", "fraction": round(fraction, 4), "file": name}), flush=True)
        elif kind == "bar":
            bar().show(fraction, name)
            if fraction == 1:
                bar().close()

    return show
