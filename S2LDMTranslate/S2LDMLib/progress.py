"""Progress of a translation: stages with a share of the whole each, remaining time, cancellation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import Cancelled

# What part of the whole run each stage is taken for; the fraction that is told and the remaining time follow from it.
# Rough: on two CPU cores the bundled model spends about 0.25, 0.20, 0.13, 0.40 and 0.02 in float32.
STAGES = {"preprocess": 0.10, "encode": 0.20, "translate": 0.25, "decode": 0.40, "postprocess": 0.05}


@dataclass(frozen=True)
class Progress:
    """``fraction`` of the whole, 0 to 1; ``remaining`` seconds, None while it cannot be told."""

    stage: str
    fraction: float
    remaining: float | None


OnProgress = Callable[[Progress], None]


def remaining_s(elapsed: float, fraction: float) -> float | None:
    """Seconds left at the pace so far; None while too little is done to tell."""
    return elapsed / fraction * (1 - fraction) if fraction > 0.05 else None


class ProgressReporter:
    """Turns finished units of work into :class:`Progress`, and asks between them whether to stop."""

    def __init__(self, on_progress: OnProgress | None = None, should_cancel: Callable[[], bool] | None = None) -> None:
        self._on_progress = on_progress or (lambda progress: None)
        self._should_cancel = should_cancel or (lambda: False)
        self._start = time.monotonic()
        self._fraction = 0.0

    def report(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` units of a stage are finished.

        Raises:
            Cancelled: the user asked to stop.
        """
        if self._should_cancel():
            raise Cancelled("Cancelled; nothing was written.")
        before = sum(share for name, share in STAGES.items() if list(STAGES).index(name) < list(STAGES).index(stage))
        # A second try, after memory ran out, begins behind where the first one ended.
        self._fraction = fraction = max(self._fraction, min(1.0, before + STAGES[stage] * done / total))
        self._on_progress(Progress(stage, fraction, remaining_s(time.monotonic() - self._start, fraction)))
