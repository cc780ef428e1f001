"""A file is there whole or not at all, whatever happens while it is written; so are several that belong together."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_waiting: ContextVar[list[tuple[Path, Path]] | None] = ContextVar("_waiting", default=None)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, which takes the place of ``path`` once the block has ended well.

    It lies in the same folder, so that the last step is a rename within one file system, and ends like ``path``, since
    libraries go by the ending; it is short, so that a name as long as the file system allows can be written. Nothing is
    left of it where the block raises.
    """
    partial = path.with_name(f".s2ldm-{uuid.uuid4().hex[:12]}{''.join(path.suffixes[-2:])[-16:]}")
    waiting = _waiting.get()
    try:
        yield partial
        if waiting is None:
            os.replace(partial, path)
        else:
            waiting.append((partial, path))
    finally:
        if waiting is None or (partial, path) not in waiting:
            partial.unlink(missing_ok=True)


@contextmanager
def together() -> Iterator[None]:
    """Files written by :func:`atomic_write` within the block take their places when it has ended well: all or none."""
    waiting: list[tuple[Path, Path]] = []
    token = _waiting.set(waiting)
    try:
        yield
        for partial, path in waiting:
            os.replace(partial, path)
    finally:
        _waiting.reset(token)
        for partial, _ in waiting:
            partial.unlink(missing_ok=True)
