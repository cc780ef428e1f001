"""Reads ``progress.jsonl`` of a run while it grows: each call gives what is new."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRESS = "progress.jsonl"
TRAINING, VALIDATION = "training", "validation"


@dataclass(frozen=True)
class Point:
    """The values of one step; ``kind`` is training or validation."""

    stage: str
    kind: str
    step: int
    values: dict[str, float]


class ProgressReader:
    """Reads the entries of one run.

    Attributes:
        last: the newest entry of a step: ``stage``, ``step``, ``steps``, ``remaining_s``; empty before the first.
        event: how the run ended, ``event`` and ``message``; empty while it goes on.
    """

    def __init__(self, run: Path) -> None:
        self._file = run / PROGRESS
        self._offset = 0
        self.last: dict[str, Any] = {}
        self.event: dict[str, Any] = {}

    def is_outdated(self) -> bool:
        """Whether the file was made anew since the last call."""
        return self._size() < self._offset

    def read(self) -> list[Point]:
        """Read the points written since the last call; a line that is still being written waits for the next."""
        if self._size() <= self._offset:
            return []
        with self._file.open("rb") as stream:
            stream.seek(self._offset)
            complete = stream.read().rpartition(b"\n")[0]
        self._offset += len(complete) + 1 if complete else 0
        points = [self._take(line) for line in complete.splitlines()]
        return [point for point in points if point]

    def _size(self) -> int:
        try:
            return self._file.stat().st_size
        except OSError:
            return 0

    def _take(self, line: bytes) -> Point | None:
        try:
            entry = json.loads(line)
            if "event" in entry:
                self.event = entry
                return None
            kind = VALIDATION if VALIDATION in entry else TRAINING
            values = entry[VALIDATION if kind == VALIDATION else "values"]
            point = Point(str(entry["stage"]), kind, int(entry["step"]), _numbers(values))
        except (ValueError, TypeError, KeyError, AttributeError):  # cut short by a crash, or of a later version
            return None
        self.event = {}
        if kind == TRAINING:
            self.last = entry
        return point


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
