"""A file is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, which takes the place of ``path`` once the block has ended well.

    It lies in the same folder, so that the last step is a rename within one file system, and ends like ``path``, since
    libraries go by the ending. Nothing is left of it where the block raises.
    """
    partial = path.with_name(f".s2ldm-{uuid.uuid4().hex[:12]}.partial{''.join(path.suffixes[-2:])}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
