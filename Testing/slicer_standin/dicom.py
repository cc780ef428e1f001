"""``slicer.dicomDatabase``: the few questions that our modules ask of a ctkDICOMDatabase, answered from the files."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread


class DicomDatabase:
    """A ctkDICOMDatabase in memory; files are referred to where they lie, as after an import without copying."""

    def __init__(self) -> None:
        self._open = False
        self._files: dict[str, str] = {}

    @property
    def isOpen(self) -> bool:
        return self._open

    def openDatabase(self, file: str) -> bool:
        """An empty database; nothing is written."""
        self._open, self._files = True, {}
        return True

    def closeDatabase(self) -> None:
        self._open, self._files = False, {}

    def fileForInstance(self, uid: str) -> str:
        """Empty where the database does not know it; a file that was deleted since is still known."""
        return self._files.get(_text(uid), "")

    def instancesForSeries(self, uid: str) -> list[str]:
        found = (dcmread(file, stop_before_pixels=True) for file in self._files.values())
        return [str(header.SOPInstanceUID) for header in found if header.SeriesInstanceUID == _text(uid)]

    def instanceValue(self, uid: str, tag: str) -> str:
        """``tag`` is ``gggg,eeee``; empty where instance, file or element is missing."""
        group, element = (int(part, 16) for part in _text(tag).split(","))
        file = self.fileForInstance(uid)
        if not Path(file).is_file():
            return ""
        found = dcmread(file, stop_before_pixels=True).get((group, element))
        return "" if found is None or found.value is None else str(found.value)

    def insert(self, file: Path) -> None:
        self._files[str(dcmread(file, stop_before_pixels=True).SOPInstanceUID)] = str(file)


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"PythonQt takes a QString, not a {type(value).__name__}")
    return value
