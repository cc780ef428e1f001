"""Slicer's DICOM database: the files that a volume came from, and those of an exported series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from S2LDMSlicerLib.errors import PanelError

INSTANCES = "DICOM.instanceUIDs"  # node attribute, set by Slicer's DICOM plugins
_SYNTHETIC_DATA = "0008,001C"


def instances_of(node: Any) -> str:
    """The instance UIDs of the series that a volume was loaded from, parted by spaces; empty without DICOM."""
    return node.GetAttribute(INSTANCES) or ""


def files_of(instance_uids: str) -> tuple[Path, ...]:
    """The files of these instances.

    Raises:
        PanelError: the database is closed, or knows no file of one of them.
    """
    uids = instance_uids.split()
    if not uids:
        return ()
    database = _opened()
    files = dict.fromkeys(Path(database.fileForInstance(uid) or "") for uid in uids)
    missing = sum(not file.is_file() for file in files)
    if missing:
        raise PanelError(
            f"{missing} of {len(uids)} DICOM files of the non-contrast CT are no longer in Slicer's DICOM database. "
            "Import the study again."
        )
    return tuple(files)


def is_synthetic_series(node: Any) -> bool:
    """Whether a volume was loaded from a DICOM series that says that it is synthetic."""
    uids, database = instances_of(node).split(), _database()
    return bool(uids) and database is not None and database.instanceValue(uids[0], _SYNTHETIC_DATA).strip() == "YES"


def add_series(folder: Path) -> None:
    """Add the files of a folder to the database, which then refers to them where they lie.

    Raises:
        PanelError: the database is closed or refused.
    """
    _opened()
    from DICOMLib import DICOMUtils

    if not DICOMUtils.importDicom(str(folder)):
        raise PanelError(
            f"Slicer's DICOM database has not taken {folder}. The series is written; import it in the module DICOM."
        )


def _database() -> Any:
    """The open database; None where the module DICOM is switched off, or no folder is chosen for its database."""
    database = getattr(slicer, "dicomDatabase", None)
    return database if database is not None and database.isOpen else None


def _opened() -> Any:
    database = _database()
    if database is None:
        raise PanelError("Slicer's DICOM database is not open. Open the module DICOM and choose a database folder.")
    return database
