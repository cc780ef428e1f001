"""Keep ITK, GDCM and MetaIO from printing, and hear what they say: the user sees our one line, not their many."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk

_STDERR = 2
_MOST_BYTES = 1 << 16
# "WARNING: In .../itkNiftiImageIO.cxx, line 9" and in the next line "NiftiImageIO (0x55d): what it is about"
_WARNING = re.compile(r"WARNING: In .*\n(?:\w+ \(0x[0-9a-f]+\): )?(.*)")


@contextmanager
def quiet_itk() -> Iterator[list[str]]:
    """Keep the process's standard error silent while the block runs; errors are still raised.

    Yields:
        A list that holds ITK's warnings when the block has ended, a line each.
    """
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(True)
    said: list[str] = []
    redirected = _redirect_stderr()
    try:
        yield said
    finally:
        if redirected is not None:
            said += _restore_stderr(*redirected)
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _redirect_stderr() -> tuple[int, int] | None:
    """Let the C stream, to which MetaIO and GDCM write, end in a pipe.

    Returns:
        What restores it and where to read; None in a program without one.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        saved = os.dup(_STDERR)
    except OSError:
        return None
    if hasattr(os, "set_blocking"):
        heard, mouth = os.pipe()
        for end in (heard, mouth):
            os.set_blocking(end, False)  # what does not fit into the pipe is lost, and nobody waits for it
    else:  # Windows before Python 3.12: nothing is heard
        heard, mouth = os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
    os.dup2(mouth, _STDERR)
    os.close(mouth)
    return saved, heard


def _restore_stderr(saved: int, heard: int) -> list[str]:
    os.dup2(saved, _STDERR)
    os.close(saved)
    try:
        text = os.read(heard, _MOST_BYTES).decode("utf-8", "replace")
    except BlockingIOError:  # nothing was said
        text = ""
    finally:
        os.close(heard)
    return list(dict.fromkeys(match.strip().rstrip(".") for match in _WARNING.findall(text)))
