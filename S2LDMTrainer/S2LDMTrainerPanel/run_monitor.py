"""One run folder, watched and steered: what state it is in, starting, going on and stopping."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .progress_reader import Point, ProgressReader
from .run_process import LOG, Launcher, Process, ask_to_stop, find_holder, trainer_command, trainer_environment

RECIPE, MANIFEST, MODEL = "recipe.json", "manifest.json", "model"
CANCELLED_CODE = 130
_TAIL = 16_384  # bytes of the log that are looked at


class RunError(RuntimeError):
    """A run cannot be started or stopped; one sentence what is wrong, one what to do."""


class RunStatus(Enum):
    """Where a run folder stands."""

    EMPTY = "empty"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # ended without a word: killed, or the machine went down


@dataclass(frozen=True)
class RunState:
    """
    ``message`` says why it failed, or where the finished model is.
    ``step``, ``steps`` and ``remaining_s`` are those of ``stage``, not of the whole run.
    """

    status: RunStatus
    message: str = ""
    stage: str = ""
    step: int = 0
    steps: int = 0
    remaining_s: float | None = None

    @property
    def is_running(self) -> bool:
        return self.status in (RunStatus.RUNNING, RunStatus.STOPPING)


class RunMonitor:
    """The run in one folder, whoever started it."""

    def __init__(self, run: Path, launch: Launcher) -> None:
        self.run = run
        self._launch = launch
        self._reader = ProgressReader(run)
        self._process: Process | None = None
        self._asked_to_stop = False
        self._unseen: list[Point] = []  # read when the run was started, and not handed out yet

    def is_outdated(self) -> bool:
        """Whether the run was made anew, so that all read so far is of another one."""
        return self._reader.is_outdated()

    def read(self) -> list[Point]:
        """The points that are new since the last call."""
        points, self._unseen = self._unseen + self._reader.read(), []
        return points

    def read_again(self) -> None:
        """Let :meth:`read` begin with the first point."""
        self._reader, self._unseen = ProgressReader(self.run), []

    @property
    def can_resume(self) -> bool:
        """Whether the folder holds a run, so that starting means going on."""
        return (self.run / RECIPE).is_file()

    @property
    def stage(self) -> str:
        """The stage that is trained, as of the last :meth:`read`; empty before the first."""
        return str(self._reader.last.get("stage", ""))

    def state(self) -> RunState:
        """Where the run stands, as of the last :meth:`read`."""
        status, message = self._status()
        last = self._reader.last
        return RunState(
            status=status,
            message=message,
            stage=self.stage,
            step=int(last.get("step", 0)),
            steps=int(last.get("steps") or 0),
            remaining_s=last.get("remaining_s") if status is RunStatus.RUNNING else None,
        )

    def reason_unavailable(self, data: Path, state: RunState) -> str:
        """Why a run cannot be started in this state, in a sentence that says what to do; empty where it can."""
        if state.is_running:
            return f"A run is going on in {self.run}. Stop it, or choose another run folder."
        if state.status is RunStatus.DONE:
            return f"The run in {self.run} is finished. Choose another run folder for a new one."
        if not (data / MANIFEST).is_file():
            return f"{data} holds no prepared data. Choose a folder that 's2ldm-train prepare' made."
        if self.run.exists() and not self.run.is_dir():
            return f"{self.run} is a file. Choose a folder for the run."
        return ""

    def start(self, data: Path, preset: str) -> None:
        """Start the training, or go on with that of the folder, which keeps its own recipe whatever the preset.

        Raises:
            RunError: it cannot be started.
        """
        self._unseen += self._reader.read()
        if reason := self.reason_unavailable(data, self.state()):
            raise RunError(reason)
        arguments = ["train", str(data), str(self.run), "--preset", preset]
        if self.can_resume:
            arguments = ["train", str(data), str(self.run), "--preset", str(self.run / RECIPE), "--resume"]
        self._reader.event = {}
        self._asked_to_stop = False
        try:
            self._process = self._launch(trainer_command(arguments), trainer_environment(), self.run / LOG)
        except OSError as error:
            raise RunError(f"The training cannot be started ({error}). Choose another run folder.") from None

    def stop(self) -> None:
        """Ask the run to write a checkpoint and end; asked again, it ends at once.

        Raises:
            RunError: nothing runs, or on another machine.
        """
        if self._process is not None and self._process.poll() is None:
            pid = self._process.pid
        else:
            holder = find_holder(self.run)
            if holder is None:
                raise RunError(f"No run is going on in {self.run}. There is nothing to stop.")
            if not holder.is_here:
                raise RunError(f"The run goes on on the machine {holder.host}. Stop it there.")
            pid = holder.pid
        ask_to_stop(pid)
        self._asked_to_stop = True

    def log_tail(self, lines: int = 200) -> str:
        """The last lines of the run's log."""
        try:
            with (self.run / LOG).open("rb") as stream:
                stream.seek(max(0, stream.seek(0, 2) - _TAIL))
                text = stream.read().decode("utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _status(self) -> tuple[RunStatus, str]:
        code = self._process.poll() if self._process else None
        alive = self._process is not None and code is None
        if alive or find_holder(self.run):
            return (RunStatus.STOPPING if self._asked_to_stop else RunStatus.RUNNING), ""
        event, message = self._reader.event.get("event"), str(self._reader.event.get("message", ""))
        if event == RunStatus.DONE.value or (not event and code == 0):
            return RunStatus.DONE, str(self.run / MODEL)
        if event in (RunStatus.FAILED.value, RunStatus.CANCELLED.value):
            return RunStatus(event), message
        if code == CANCELLED_CODE or (code and self._asked_to_stop):
            return RunStatus.CANCELLED, ""
        if code is not None:
            return RunStatus.FAILED, self._last_words() or f"The training ended with exit code {code}."
        return (RunStatus.INTERRUPTED if self.can_resume else RunStatus.EMPTY), ""

    def _last_words(self) -> str:
        """The last line of the log, where the command line puts its error."""
        lines = [line.strip() for line in self.log_tail().splitlines() if line.strip()]
        return lines[-1].removeprefix("s2ldm-train: ") if lines else ""
