"""Keep ITK, GDCM and MetaIO from printing: the user sees our one line instead of their many."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk

_STDERR = 2


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep the process's standard error silent while the block runs; errors are still raised."""
    warnings = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    saved = _silence_stderr()
    try:
        yield
    finally:
        if saved is not None:
            os.dup2(saved, _STDERR)
            os.close(saved)
        sitk.ProcessObject.SetGlobalWarningDisplay(warnings)


def _silence_stderr() -> int | None:
    """MetaIO and GDCM write to the C stream itself. Returns what restores it, None in a program without one."""
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        saved = os.dup(_STDERR)
    except OSError:
        return None
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, _STDERR)
    os.close(null)
    return saved
