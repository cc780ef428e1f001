"""Slicer's own Python, and how it finds the libraries of this extension."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def python_executable() -> str:
    """Slicer's own Python, outside Slicer the one that runs."""
    return shutil.which("PythonSlicer") or sys.executable


def library_command(library: str, arguments: Sequence[str]) -> list[str]:
    """The command line of a library, in Slicer's Python."""
    return [python_executable(), "-m", library, *arguments]


def library_environment(*modules: Path) -> dict[str, str]:
    """This process's environment, in which the libraries are found and their output comes as it is written.

    Args:
        modules: folders of modules. In an installed extension all are the same, in the source tree each has its own.
    """
    folders = [str(folder) for folder in modules if folder.is_dir()]
    paths = os.pathsep.join([*folders, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
