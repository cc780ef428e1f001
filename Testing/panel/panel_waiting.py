"""How the tests of both panels wait for what another process or Slicer's event loop does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import slicer_standin


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Look again and again; the limit only keeps a test that fails from waiting for ever."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def pass_the_time(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Let Slicer's event loop run until something is so."""
    slicer = slicer_standin.start()
    wait_for(lambda: slicer.app.processEvents() or condition(), seconds)


def is_called(owner: Any, name: str, turns: int = 20) -> bool:
    """Whether Slicer's event loop, running on for a while, calls this method of a panel's logic."""
    slicer, real, calls = slicer_standin.start(), getattr(owner, name), []
    setattr(owner, name, lambda: calls.append(name) or real())
    for _ in range(turns):
        slicer.app.processEvents()
        time.sleep(0.01)
    delattr(owner, name)
    return bool(calls)
