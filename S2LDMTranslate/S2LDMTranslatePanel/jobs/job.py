"""Work that takes long, in a thread of its own: watched, answered and cancelled from the thread of the panel."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from S2LDMSlicerLib.errors import PanelError

from .engine_process import EngineProcess, Start


class JobStatus(Enum):
    """Where a job stands."""

    RUNNING = "running"
    ASKING = "asking"  # waits for an answer
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class JobState:
    """``fraction`` 0 to 1; ``message`` is the question, or why it failed."""

    status: JobStatus
    stage: str = ""
    fraction: float = 0.0
    remaining_s: float | None = None
    message: str = ""

    @property
    def is_running(self) -> bool:
        return self.status in (JobStatus.RUNNING, JobStatus.ASKING)


class _Cancelled(Exception):
    """Unwinds the work; only :class:`Job` sees it."""


class Job:
    """Base class: override :meth:`_work`, which runs in the thread and must touch neither Qt nor the scene.

    Args:
        temporary: where the job's private folder is made; it is gone when the job ends, however it ends.
        start: starts the engine with these arguments.
    """

    def __init__(self, temporary: Path, start: Start = EngineProcess) -> None:
        self.state = JobState(JobStatus.RUNNING)
        self._temporary, self._start = temporary, start
        self._process: EngineProcess | None = None
        self._logs: list[str] = []
        self._lock = threading.Lock()
        self._cancelled, self._answered, self._go_on = threading.Event(), threading.Event(), False
        # A daemon, so that a Slicer that ends does not wait for it.
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def answer(self, go_on: bool) -> None:
        """Answer the question of a job that asks; without ``go_on`` it ends as cancelled."""
        self._go_on = go_on
        self._answered.set()

    def cancel(self) -> None:
        """End the process tree and the work, at once; the state follows within a moment."""
        with self._lock:
            self._cancelled.set()
            if self._process is not None:
                self._process.kill()
        self._answered.set()

    def wait(self, seconds: float) -> bool:
        """Wait until the thread has ended; returns whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def log(self) -> str:
        """What the engine said so far, besides its progress."""
        process = self._process
        return "\n".join([*self._logs, *(list(process.log) if process else [])])

    def _work(self, folder: Path) -> None:
        raise NotImplementedError

    def _engine(self, arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Run ``s2ldm`` and yield its events."""
        with self._lock:
            self._stop_if_cancelled()
            self._process = self._start(arguments)
        try:
            for event in self._process.events():
                yield event
                self._stop_if_cancelled()
        finally:
            process, self._process = self._process, None
            process.kill()
            self._logs += process.log
        self._stop_if_cancelled()

    def _ask(self, question: str) -> None:
        self.state = JobState(JobStatus.ASKING, message=question)
        self._answered.wait()
        if not self._go_on:
            raise _Cancelled
        self._answered.clear()
        self._show("starting", 0.0)

    def _show(self, stage: str, fraction: float, remaining_s: float | None = None) -> None:
        self._stop_if_cancelled()
        self.state = JobState(JobStatus.RUNNING, stage, fraction, remaining_s)

    def _stop_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise _Cancelled

    def _run(self) -> None:
        # The state is set last: whoever sees the end of a job finds no process and no file of it any more.
        try:
            with _private_folder(self._temporary) as folder:
                self._work(folder)
            end = JobState(JobStatus.DONE, fraction=1.0)
        except _Cancelled:
            end = JobState(JobStatus.CANCELLED)
        except PanelError as error:
            self._logs += [str(error.__cause__)] if error.__cause__ else []
            end = JobState(JobStatus.FAILED, message=str(error))
        except MemoryError:
            end = JobState(JobStatus.FAILED, message="Memory ran out. Close other programs, or crop the volume.")
        except Exception as error:
            self._logs += traceback.format_exception(error)
            message = f"{type(error).__name__}: {error}. This is a fault of the program; please report it with the log."
            end = JobState(JobStatus.FAILED, message=message)
        # The process that a cancellation ended has failed for that reason and no other.
        self.state = JobState(JobStatus.CANCELLED) if self._cancelled.is_set() else end


@contextlib.contextmanager
def _private_folder(parent: Path) -> Iterator[Path]:
    """A folder that nobody else can read, for as long as it is needed."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="S2LDM-", dir=parent))
    except OSError as error:
        raise PanelError(
            f"The temporary folder {parent} cannot be written to ({error.strerror}). Choose another one in Slicer's "
            "application settings."
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
