"""Which files of a folder are DICOM, and which of them list the others: told by the first bytes, not by the name."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from ...errors import InputError
from .bare import is_bare_dataset

_HEAD = 1024  # bytes that tell; the elements looked for are among a file's first
_SUFFIXES = (".dcm", ".ima")  # by which damaged files without a preamble are known
# MediaStorageSOPClassUID (0002,0002) of a Media Storage Directory, with a value representation or without.
_MEDIA_DIRECTORY = re.compile(rb"\x02\x00\x02\x00(?:UI..|....)1\.2\.840\.10008\.1\.3\.10(?![\d.])", re.DOTALL)
_DAMAGES = (OSError, InvalidDicomError, ValueError, AttributeError, TypeError, LookupError, struct.error, EOFError)


def is_dicom(path: Path) -> bool:
    """Whether the file says by its preamble, its first elements or its suffix that it is DICOM.

    Raises:
        InputError: the file cannot be read.
    """
    return _is_dicom(path, _head(path))


def is_directory_file(path: Path) -> bool:
    """Whether the file is the list of contents of a DICOM medium: a DICOMDIR, or one of that kind by another name.

    Raises:
        InputError: the file cannot be read.
    """
    return path.name.upper() == "DICOMDIR" or bool(_MEDIA_DIRECTORY.search(_head(path)))


def direct_files(folder: Path) -> list[Path]:
    """DICOM files that lie in the folder itself, by name. Raises InputError where it cannot be listed."""
    try:
        entries = [entry for entry in sorted(folder.iterdir()) if entry.is_file()]
    except OSError as error:
        raise unreadable(folder, error) from error
    return _only_dicom(entries)


def deeper_files(folder: Path) -> list[Path]:
    """DICOM files in the folder's sub-folders, by path. Raises InputError where one cannot be listed."""
    return _only_dicom(path for path in files_below(folder) if path.parent != folder)


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and its sub-folders, also those behind symbolic links, each folder once, by path.

    Raises:
        InputError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise unreadable(Path(error.filename), error) from error

    top = folder.resolve()
    seen = {top, *top.parents}  # a link to what the folder lies in would bring in what lies beside it
    found: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        found += (Path(root) / name for name in names)
        folders[:] = [name for name in _links_last(Path(root), folders) if _is_new(Path(root, name), seen)]
    return sorted(path for path in found if path.is_file())


def listed_files(directory: Path) -> list[Path]:
    """The images that a directory file lists, and those of the directory files that it lists.

    Raises:
        InputError: one is damaged, lists no image, or lists one that is not there.
    """
    files = _listed(directory, {directory.resolve()})
    if not files:
        raise InputError(f"{directory} lists no files. Give the folder with the files of one CT series.")
    return files


def unreadable(path: Path, error: OSError) -> InputError:
    """The error of a file or folder that the system does not give."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} does not exist. Check the path.")
    return InputError(f"{path} cannot be read: {error.strerror}. Check its permissions.")


def _only_dicom(paths: Iterable[Path]) -> list[Path]:
    # A name with a leading dot is a system's own file, such as macOS's "._IM0001.dcm".
    return [path for path in paths if path.name[0] != "." and path.name.upper() != "DICOMDIR" and _is_image(path)]


def _is_image(path: Path) -> bool:
    head = _head(path)
    return _is_dicom(path, head) and not _MEDIA_DIRECTORY.search(head)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise unreadable(path, error) from error


def _is_dicom(path: Path, head: bytes) -> bool:
    return head[128:132] == b"DICM" or path.suffix.lower() in _SUFFIXES or is_bare_dataset(head)


def _links_last(root: Path, folders: Iterable[str]) -> list[str]:
    """The folders to go into by name: where one is there itself and by a link, it is called by its own name."""
    return sorted(
        (name for name in folders if not name.startswith(".")), key=lambda name: ((root / name).is_symlink(), name)
    )


def _is_new(folder: Path, seen: set[Path]) -> bool:
    real = folder.resolve()
    is_new = real not in seen
    seen.add(real)
    return is_new


def _listed(directory: Path, seen: set[Path]) -> list[Path]:
    try:
        records = [
            (record.get("DirectoryRecordType"), record.ReferencedFileID)
            for record in dcmread(directory).get("DirectoryRecordSequence") or ()
            if record.get("ReferencedFileID")
        ]
        named = [(kind, [name] if isinstance(name, str) else list(map(str, name))) for kind, name in records]
    except _DAMAGES as error:
        raise InputError(f"{directory} is damaged. Give the folder that it lies in.") from error
    files: list[Path] = []
    for kind, parts in named:
        file = _on_the_medium(directory, parts)
        if file is not None and is_directory_file(file):
            files += _listed(file, seen) if _is_new(file, seen) else []
        elif file is not None:
            files.append(file)
        elif kind in (None, "IMAGE"):
            raise InputError(
                f"{directory} lists {directory.parent.joinpath(*parts)}, which is not there. Copy the whole medium, or "
                "give its folder."
            )
    return files


def _on_the_medium(directory: Path, parts: list[str]) -> Path | None:
    """The file that a directory file names by its path from the medium's top, below which the directory may lie.

    Some systems show the names of a disc in lower case, or with the version that stands behind them on it.
    """
    within = directory.absolute().parent.parts
    tops = [directory.parent]
    tops += [directory.absolute().parents[up] for up in range(1, len(parts)) if list(within[-up:]) == parts[:up]]
    lower = [part.lower() for part in parts]
    spellings = [[*names[:-1], names[-1] + version] for names in (parts, lower) for version in ("", ";1")]
    places = (top.joinpath(*names) for top in tops for names in spellings)
    return next((file for file in places if file.is_file()), None)
