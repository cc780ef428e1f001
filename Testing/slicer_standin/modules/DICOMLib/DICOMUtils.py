"""``DICOMLib.DICOMUtils``."""

from __future__ import annotations

from pathlib import Path

import slicer
from pydicom.errors import InvalidDicomError
from slicer_standin.dicom import DicomDatabase


def importDicom(dicomDataDir: str, dicomDatabase: DicomDatabase | None = None, copyFiles: bool = False) -> bool:
    """Add the DICOM files of a folder and its folders; others are passed over, as Slicer's indexer does."""
    if copyFiles:
        raise NotImplementedError("no stand-in for copies of imported files")
    if not isinstance(dicomDataDir, str):
        raise TypeError(f"PythonQt takes a QString, not a {type(dicomDataDir).__name__}")
    database = dicomDatabase or slicer.dicomDatabase
    for file in sorted(path for path in Path(dicomDataDir).rglob("*") if path.is_file()):
        try:
            database.insert(file)
        except InvalidDicomError:
            continue
    return True


def openTemporaryDatabase(directory: str | None = None) -> str | None:
    """An empty database; returns the folder of the one before, None because there is none here."""
    slicer.dicomDatabase.openDatabase(f"{directory}/ctkDICOM.sql")
    return None


def closeTemporaryDatabase(originalDatabaseDir: str | None, cleanup: bool = True) -> bool:
    """Back to the database before, which here is none."""
    slicer.dicomDatabase.closeDatabase()
    return True
