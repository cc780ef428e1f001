"""The folder of an exported series: there whole or not at all, and never in place of somebody's own files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from ...errors import InputError
from .provenance import MANUFACTURER


def check_output_folder(folder: str | Path, overwrite: bool) -> Path:
    """Refuse a folder now rather than after minutes of computing; returns what ``folder`` stands for if it is a link.

    Raises:
        InputError: the folder is a file or a mount point, holds files and there is no ``overwrite``, or holds others
            than a series of this program; or the folder around it is missing or not writable.
    """
    folder = Path(os.path.abspath(folder))
    if folder.is_symlink():
        folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file. Give an output folder for the DICOM series.")
    if folder == Path.cwd():
        raise InputError(f"{folder} is the current folder. Give a folder in it, such as {folder / 'synthetic'}.")
    if os.path.ismount(folder):
        raise InputError(
            f"{folder} is the root of a disk or mount. Give a folder in it, such as {folder / 'synthetic'}."
        )
    if not folder.parent.is_dir():
        raise InputError(f"The folder {folder.parent} does not exist. Create it or give another output folder.")
    _check_content(folder, overwrite)
    try:
        tempfile.TemporaryFile(dir=folder.parent).close()  # os.access does not know all reasons
    except OSError:
        raise InputError(f"The folder {folder.parent} is not writable. Give an output folder elsewhere.") from None
    return folder


@contextmanager
def replacing_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder to write into, which takes the place of ``folder`` once the block has ended well.

    A rename within one file system is the last step: whoever looks at ``folder`` sees the old series, for a moment
    none, or the whole new one.

    Raises:
        InputError: the disk refused the folder, or somebody filled it meanwhile; nothing is left behind.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed, and had our number
        with refusals_of_the_disk(folder):
            partial.mkdir()
        yield partial
        _check_content(folder, overwrite)
        with refusals_of_the_disk(folder):
            _take_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def refusals_of_the_disk(folder: Path) -> Iterator[None]:
    """Raises InputError, which names the folder, where the system refuses to write."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder} could not be written ({error.strerror or error}). Check the disk's free space and permissions."
        ) from error


def _check_content(folder: Path, overwrite: bool) -> None:
    try:
        entries = sorted(folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}). Give another output folder.") from error
    if entries and not overwrite:
        raise InputError(f"{folder} is not empty. Give another output folder, or allow it with --overwrite.")
    for entry in entries:
        if not _is_ours(entry):
            raise InputError(
                f"{folder} holds {entry.name}, which is not of a series that this program wrote. "
                "Give another output folder."
            )


def _is_ours(entry: Path) -> bool:
    if entry.is_symlink() or not entry.is_file():
        return False
    try:
        header = dcmread(entry, stop_before_pixels=True, specific_tags=["SyntheticData", "Manufacturer"])
    except (OSError, InvalidDicomError, EOFError, ValueError):
        return False
    return header.get("SyntheticData") == "YES" and header.get("Manufacturer") == MANUFACTURER


def _take_place(partial: Path, folder: Path) -> None:
    if not folder.exists():
        partial.rename(folder)
        return
    old = partial.with_suffix(".old")
    folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
