"""One run of the command line ``s2ldm`` in Slicer's Python, read line by line and ended whenever it must."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from S2LDMSlicerLib.errors import PanelError
from S2LDMSlicerLib.processes import kill_tree, own_group
from S2LDMSlicerLib.slicer_python import library_command, library_environment

LIBRARY = "S2LDMLib"
PROGRAM = "s2ldm: "
LOG_LINES = 400
_MODULE = Path(__file__).resolve().parents[2]

Start = Callable[[Sequence[str]], "EngineProcess"]


class EngineProcess:
    """A process and its children.

    Args:
        arguments: those of ``s2ldm``.
        command: what to start instead of ``s2ldm`` itself.

    Raises:
        PanelError: Slicer's Python cannot be started.
    """

    def __init__(self, arguments: Sequence[str], command: Sequence[str] | None = None) -> None:
        words = [*command, *arguments] if command else library_command(LIBRARY, arguments)
        self.log = ["$ s2ldm " + " ".join(arguments)]
        try:
            self._process = subprocess.Popen(
                words, env=library_environment(_MODULE), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace", **own_group(),
            )  # fmt: skip
        except OSError as error:
            raise PanelError(f"Slicer's Python cannot be started ({error}). Install Slicer again.") from None

    @property
    def pid(self) -> int:
        return self._process.pid

    def events(self) -> Iterator[dict[str, Any]]:
        """The JSON objects that it writes, until it ends; other lines go to the log.

        Raises:
            PanelError: it failed or was ended from outside.
        """
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                event = _as_event(line)
                if event is None:
                    self._note(line.rstrip())
                else:
                    yield event
        code = self._process.wait()
        if code != 0:
            raise PanelError(self._last_words(code))

    def kill(self) -> None:
        """End the process and all its children, at once."""
        kill_tree(self._process)

    def _note(self, line: str) -> None:
        self.log.append(line)
        if len(self.log) > LOG_LINES:
            del self.log[1]  # the command line stays

    def _last_words(self, code: int) -> str:
        """The engine's own error, or what the exit code tells."""
        said = [line.removeprefix(PROGRAM) for line in self.log if line.startswith(PROGRAM) and "warning:" not in line]
        if said:
            return said[-1]
        if code in (-signal.SIGTERM, 137, -9):  # 9: SIGKILL, which Windows does not know
            return (
                "The engine was ended from outside, most likely because memory ran out. Close other programs, choose a "
                "region of interest, or crop the volume."
            )
        return f"The engine ended without a word (exit code {code}). Look at the log."


def _as_event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
