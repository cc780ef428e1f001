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
LOCK, LOG = "run.lock", "train.log"
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
    """The command line ``s2ldm-train`` in Slicer's Python."""
    return library_command(LIBRARY, arguments)


def trainer_environment() -> dict[str, str]:
    """This process's environment, in which the libraries are found and the log is written as it comes."""
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
    """Who trains in a run folder now; None where nobody does, also after a crash or a reused process id."""
    file = run / LOCK
    try:
        entry = json.loads(file.read_text(encoding="utf-8"))
        holder = Holder(int(entry["pid"]), str(entry["host"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if os.name == "nt":
        return holder if holder.is_here and _runs_on_windows(holder.pid) else None
    # Only the lock of a living process is tried: trying takes it for an instant, which must not stop one that starts.
    if holder.is_here and not _runs(holder.pid):
        return None
    return holder if _is_locked(file) else None


def ask_to_stop(pid: int) -> None:
    """Ask for a checkpoint and an end; asked twice, it ends at once. On Windows it ends at once the first time."""
    with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
        os.kill(pid, signal.SIGTERM)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _is_locked(file: Path) -> bool:
    import fcntl

    with file.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _runs_on_windows(pid: int) -> bool:
    """``os.kill(pid, 0)`` would end the process there."""
    import ctypes

    synchronize, still_running = 0x100000, 0x102
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(synchronize, False, pid)
    if not handle:
        return False
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == still_running)
    finally:
        kernel.CloseHandle(handle)
