"""The training process: how it is started so that it outlives Slicer, found again, and asked to stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from S2LDMSlicerLib.processes import own_group
from S2LDMSlicerLib.slicer_python import library_command, library_environment

LIBRARY = "S2LDMTrainerLib"
HOLDER, LOCK, LOG = "run.lock", ".train.lock", "train.log"
_MODULE = Path(__file__).resolve().parents[1]


class Process(Protocol):
    """A started process, as ``subprocess.Popen`` describes it."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""


class Launcher(Protocol):
    """Starts a command whose output goes to a log file."""

    def __call__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> Process: ...


@dataclass(frozen=True)
class Holder:
    """The process that trains in a run folder, from its ``run.lock``."""

    pid: int
    host: str

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine, so that it can be stopped from here."""
        return self.host == socket.gethostname()


def trainer_command(arguments: Sequence[str]) -> list[str]:
    """Make the command line ``s2ldm-train`` for Slicer's Python."""
    return library_command(LIBRARY, arguments)


def trainer_environment() -> dict[str, str]:
    """Make this process's environment one in which the libraries are found and the log is written as it comes."""
    return library_environment(_MODULE, _MODULE.parent / "S2LDMTranslate")


def launch_detached(command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that goes on when Slicer ends; its output is appended to ``log``.

    Raises:
        OSError: the log cannot be written, or the program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **own_group(),
        )


def find_holder(run: Path) -> Holder | None:
    """Find who trains in a run folder now; None where nobody does, also after a crash or a reused process id."""
    try:
        entry = json.loads((run / HOLDER).read_text(encoding="utf-8"))
        holder = Holder(int(entry["pid"]), str(entry["host"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    # Only the lock of a living process is tried: trying takes it for an instant, which must not stop one that starts.
    if holder.is_here and not _runs(holder.pid):
        return None
    return holder if _is_locked(run / LOCK, unless_known=holder.is_here and os.name != "nt") else None


def ask_to_stop(pid: int) -> None:
    """Ask for a checkpoint and an end; asked twice, it ends at once. On Windows it ends at once the first time."""
    with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
        os.kill(pid, signal.SIGTERM)


def _runs(pid: int) -> bool:
    """Whether there is a process of this id; on Windows, where asking would end it, always yes."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _is_locked(file: Path, unless_known: bool) -> bool:
    """Whether a process holds the lock, on this machine or another.

    Args:
        unless_known: the answer before the packages are installed, when only a process id can have told.
    """
    try:
        from filelock import FileLock, Timeout
    except ImportError:
        return unless_known
    try:
        with FileLock(file, timeout=0):
            return False
    except (Timeout, OSError):  # held, or in a folder that this user may only read
        return True
