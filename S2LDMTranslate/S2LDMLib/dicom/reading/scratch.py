"""A file for libraries that read nothing but files: in memory where the system can, else in the temporary folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ...errors import InputError


@contextmanager
def readable_by_path(write: Callable[[BinaryIO], object]) -> Iterator[str]:
    """The path of a file that holds what ``write`` puts into it, for as long as the block runs.

    Raises:
        InputError: the temporary folder is full or cannot be written; also for an OSError within the block.
    """
    memory = _memory_file()
    if memory is not None:
        with memory:
            write(memory)
            memory.flush()
            yield f"/proc/self/fd/{memory.fileno()}"
        return
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "frame.dcm"
            with path.open("w+b") as file:
                write(file)
            yield str(path)
    except OSError as error:
        where = Path(error.filename).parent if error.filename else tempfile.tempdir or "any usual folder"
        raise InputError(f"There is no room for temporary files in {where}: free some or set TMPDIR.") from error


def _memory_file() -> BinaryIO | None:
    """A file without a folder, which needs neither room on a disk nor a place to write; Linux has them."""
    if not hasattr(os, "memfd_create"):
        return None
    with suppress(OSError):
        file = os.fdopen(os.memfd_create("s2ldm"), "w+b")
        if Path(f"/proc/self/fd/{file.fileno()}").exists():
            return file
        file.close()
    return None
