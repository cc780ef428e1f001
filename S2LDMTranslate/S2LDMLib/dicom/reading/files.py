"""Which files of a folder are DICOM, told by the first bytes and never by the name alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from ...errors import InputError

_PREAMBLE = 132
_SUFFIXES = (".dcm", ".ima")  # by which old files without a preamble are known


def is_dicom(path: Path) -> bool:
    """Whether the file says by its preamble that it is DICOM, or by its suffix where it has none.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(_PREAMBLE)[128:] == b"DICM" or path.suffix.lower() in _SUFFIXES
    except OSError as error:
        raise unreadable(path, error) from error


def is_directory_file(path: Path) -> bool:
    """Whether the file is the list of contents of a DICOM medium."""
    return path.name.upper() == "DICOMDIR"


def direct_files(folder: Path) -> list[Path]:
    """DICOM files that lie in the folder itself, by name. Raises InputError where it cannot be listed."""
    try:
        entries = [entry for entry in sorted(folder.iterdir()) if entry.is_file()]
    except OSError as error:
        raise unreadable(folder, error) from error
    return _only_dicom(entries)


def deeper_files(folder: Path) -> list[Path]:
    """DICOM files in the folder's sub-folders, by path. Raises InputError where one cannot be listed."""

    def refuse(error: OSError) -> None:
        raise unreadable(Path(error.filename), error) from error

    found: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if Path(root) != folder:
            found += (Path(root) / name for name in sorted(names))
    return _only_dicom(path for path in found if path.is_file())


def listed_files(directory: Path) -> list[Path]:
    """The images that a DICOMDIR lists.

    Raises:
        InputError: it is damaged, lists no image, or lists a file that is not there.
    """
    try:
        records = dcmread(directory).get("DirectoryRecordSequence") or ()
        names = [record.ReferencedFileID for record in records if "ReferencedFileID" in record]
    except (OSError, InvalidDicomError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{directory} is damaged. Give the folder that it lies in.") from error
    files = [directory.parent.joinpath(*([name] if isinstance(name, str) else name)) for name in names]
    if not files:
        raise InputError(f"{directory} lists no files. Give the folder with the files of one CT series.")
    for file in files:
        if not file.is_file():
            raise InputError(
                f"{directory} lists {file}, which is not there. Copy the whole medium, or give its folder."
            )
    return files


def unreadable(path: Path, error: OSError) -> InputError:
    """The error of a file or folder that the system does not give."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} does not exist. Check the path.")
    return InputError(f"{path} cannot be read: {error.strerror}. Check its permissions.")


def _only_dicom(paths: Iterable[Path]) -> list[Path]:
    # A name with a leading dot is a system's own file, such as macOS's "._IM0001.dcm".
    return [path for path in paths if path.name[0] != "." and not is_directory_file(path) and is_dicom(path)]
