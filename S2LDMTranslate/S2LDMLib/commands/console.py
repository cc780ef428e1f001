"""What the two command lines, ``s2ldm`` and ``s2ldm-train``, have in common.

Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 130 cancelled. An error is one line on standard error.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, S2LDMError, S2LDMWarning

if TYPE_CHECKING:
    from ..progress import Progress


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
    args = parser.parse_args(argv)
    stop = StopOnSignal()

    def show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
        """Ours in one line; those of libraries are not for users."""
        if issubclass(category, S2LDMWarning):
            print(f"{parser.prog}: warning: {message}", file=sys.stderr)

    warnings.showwarning = show_warning
    try:
        return args.command(args, stop)
    except (Exception, KeyboardInterrupt) as error:
        if args.debug:
            traceback.print_exc()
        message, code = explain(error)
        print(f"{parser.prog}: {' '.join(message.split())}", file=sys.stderr)
        return code


def explain(error: BaseException) -> tuple[str, int]:
    """Message and exit code of whatever ended a command."""
    if isinstance(error, S2LDMError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "Cancelled; nothing was written.", Cancelled.exit_code
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
    unfinished = False

    def as_json(progress: Progress) -> None:
        line = {"stage": progress.stage, "fraction": round(progress.fraction, 4), "remaining_s": progress.remaining}
        print(json.dumps(line), flush=True)

    def as_bar(progress: Progress) -> None:
        nonlocal unfinished
        if progress.fraction == 0:  # the input may still be refused, in one line
            return
        unfinished = progress.fraction < 1
        filled = round(30 * progress.fraction)
        remaining = "" if progress.remaining is None else f"{progress.remaining:.0f} s left"
        line = f"\r[{'#' * filled}{'.' * (30 - filled)}] {progress.fraction:4.0%}  {progress.stage:<12}{remaining:<14}"
        print(line, end="" if unfinished else "\n", file=sys.stderr, flush=True)

    try:
        yield {"json": as_json, "bar": as_bar, "none": None}[kind]
    finally:
        if unfinished:
            print(file=sys.stderr)


def show_download(kind: str) -> Callable[[float, str], None]:
    """Shows the fraction of a download and the file that is fetched: ``bar``, ``json`` or ``none``."""

    def show(fraction: float, name: str) -> None:
        if kind == "json":
            print(json.dumps({"stage": "download", "fraction": round(fraction, 4), "file": name}), flush=True)
        elif kind == "bar":
            print(f"\rdownload  {fraction:4.0%}  {name:<40}", end="" if fraction < 1 else "\n", file=sys.stderr)

    return show
